"""What the networks of sequence models read: no padding, no later item, nothing before the window."""

import pytest
import torch
from known_answers import EXPECTED, INDEX, fitted, shop

from jobs.core.sequences import Sequences
from jobs.models.sequential import bert4rec

trained_families = pytest.mark.parametrize(
    "family", sorted(family for family, expected in EXPECTED.items() if expected.is_trained)
)


@pytest.mark.parametrize("family", ["bert4rec", "llm2bert4rec"])  # other families never pad rows
def test_padding_is_never_attended_to(family):
    network = fitted(family).network
    long, short = list(range(7)), [3, 4]
    padded = torch.from_numpy(Sequences.from_lists([short, long]).padded_matrix(bert4rec.PADDING)).long()
    alone = padded[:1, -len(short) :]
    with torch.inference_mode():
        table = network.table
        wanted = network(table, alone, torch.ones_like(alone, dtype=torch.bool))
        beside = network(table, padded, padded != bert4rec.PADDING)[: len(short)]
        other_table = table.clone()
        other_table[0] += 100  # padding reads row 0 of the table, which must not matter
        disturbed = network(other_table, padded[:1], padded[:1] != bert4rec.PADDING)
    torch.testing.assert_close(beside, wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(disturbed, wanted, atol=1e-5, rtol=0)


@trained_families
def test_all_of_the_window_is_read_and_nothing_older(family):
    window = EXPECTED[family].parameters["window"] - ("bert4rec" in family)  # BERT4Rec's mask takes one position
    newest = [int(item) for item in INDEX[0, : window - 1]]
    rows = [[*older, *newest] for older in ([], [30], [31], [30, 1], [31, 1])]
    none, first, second, beyond, beyond_too = fitted(family).scorer(shop()).compute_queries(Sequences.from_lists(rows))
    assert not torch.allclose(none, first, atol=1e-3)
    assert not torch.allclose(first, second, atol=1e-3)
    torch.testing.assert_close(beyond, beyond_too, atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", ["sasrec", "llm2sasrec", "gru4rec"])
def test_no_place_sees_a_later_one(family):
    network = fitted(family).network
    rows = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 9, 8]])
    with torch.inference_mode():
        first, second = network(network.table, rows)
    torch.testing.assert_close(first[:3], second[:3], atol=1e-6, rtol=0)
    assert not torch.allclose(first[3], second[3], atol=1e-3)
