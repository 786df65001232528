"""LLMSeqPrompt with a scripted language model: the four variants, and the handling of odd answers."""

import numpy as np
import polars as pl
import pytest
from fake_language_model import Bigrams, sections
from known_answers import INDEX, ITEMS, cases, fitted, shop, training, walks

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.evaluation.measure import measure_scorer
from jobs.models.base import FitOptions
from jobs.models.llmseqprompt.item_clusters import Clusters
from jobs.models.llmseqprompt.model import LLMSeqPrompt, make_language_model
from jobs.models.llmseqprompt.prompts import LIST_LENGTH, name_as_json, name_from_title, read_answer
from jobs.models.llmseqsim import LLMSeqSim
from jobs.models.scorer import recommend

MAKE = make_language_model  # the real function, which tests replace in its module
NAMES = [name_from_title(title) for title in shop().titles]
ROW = [int(item) for item in INDEX[0, :3]]
FAR = ITEMS - 2  # in another block of similar items than ROW; the last of all items that are equally unlike ROW
assert FAR not in INDEX[0]


class Scripted(Bigrams):
    """A language model that records its questions, and answers what a test says."""

    def __init__(self, script=lambda conversation: ""):
        super().__init__()
        self.script, self.examples, self.asked = script, [], []

    def fine_tune(self, examples, held_out, seed, checkpoint):
        self.examples, self.held_out = list(examples), list(held_out)

    def draw_answers(self, conversations, sampling):
        self.asked += conversations
        self.sampling = sampling
        found = [self.script(one) for one in conversations]
        return [one if isinstance(one, list) else [one] * sampling.answers_per_conversation for one in found]


def fit(monkeypatch, script=lambda conversation: "", train=None, catalog=None, **parameters):
    language_model = Scripted(script)
    monkeypatch.setattr(
        "jobs.models.llmseqprompt.model.make_language_model", lambda parameters, paid_services: language_model
    )
    model = LLMSeqPrompt({"mapping": "none", **parameters})
    model.fit(train or training(), cases(), catalog or shop(), FitOptions())
    return model, language_model


def top(model, rows, k, **options):
    return recommend(model.scorer(shop()), Sequences.from_lists(rows), k, **options)


def test_a_model_that_is_only_asked_otherwise_takes_what_another_has_learnt(monkeypatch):
    first, language_model = fit(monkeypatch)
    monkeypatch.setattr(language_model, "fine_tune", lambda *_: pytest.fail("tuned again"))
    other = LLMSeqPrompt({"mapping": "fuzzy", "samples": 3, "temperature": 1.0})
    assert other.can_reuse(first)
    other.fit(training(), cases(), shop(), FitOptions(reusable_models={"llmseqprompt": first}))
    assert other.language_model is language_model
    assert recommend(other.scorer(shop()), Sequences.from_lists([ROW]), 1)[1].shape == (1, 1)
    for learns in ({"epochs": 1}, {"window": 2}, {"variant": "list"}, {"training_limit": 3}, {"lora_rank": 1}):
        assert not LLMSeqPrompt(learns).can_reuse(first)
    assert not first.can_reuse(LLMSeqSim())
    bought = LLMSeqPrompt({"provider": "openai"})
    assert not LLMSeqPrompt({"provider": "openai", "mapping": "fuzzy"}).can_reuse(bought), (
        "the warehouse holds what it has learnt"
    )


def test_what_another_seed_has_learnt_is_not_taken(monkeypatch):
    first, language_model = fit(monkeypatch)
    seeds = []
    monkeypatch.setattr(language_model, "fine_tune", lambda examples, held_out, seed, checkpoint: seeds.append(seed))
    LLMSeqPrompt({"mapping": "fuzzy"}).fit(
        training(), cases(), shop(), FitOptions(1000, reusable_models={"llmseqprompt": first})
    )
    assert seeds == [1000]


def test_an_example_is_the_last_item_after_the_names_before_it(monkeypatch):
    _, language_model = fit(monkeypatch, window=3)
    rows = [[NAMES[item] for item in row] for row in walks(320, seed=1, shortest=3, longest=5)]
    assert [sections(one)["History:"] for one in language_model.examples] == [row[:-1][-3:] for row in rows]
    assert [read_answer("item", one.answer) for one in language_model.examples] == [row[-1:] for row in rows]
    assert len(language_model.held_out) == len(cases().targets)


def test_an_example_ends_with_the_last_target_of_its_sequence(monkeypatch):
    bought, viewed = [INDEX[0, 0], INDEX[0, 1], INDEX[0, 2]], [INDEX[0, 3], INDEX[0, 4]]
    plain = Sequences.from_lists([bought, viewed])
    train = Sequences(plain.items, plain.offsets, np.array([False, True, False, False, False]))
    _, language_model = fit(monkeypatch, train=train)
    [example] = language_model.examples
    assert sections(example)["History:"] == [NAMES[INDEX[0, 0]]]
    assert read_answer("item", example.answer) == [NAMES[INDEX[0, 1]]]


def test_the_newest_training_sequences_are_learnt_from(monkeypatch):
    _, whole = fit(monkeypatch)
    _, newest = fit(monkeypatch, training_limit=7)
    assert newest.examples == whole.examples[-7:]


def test_items_without_a_title_are_left_out_of_prompts_and_answers(monkeypatch):
    titles = shop().titles.copy()
    nameless = [int(INDEX[0, 1]), int(INDEX[0, 4])]
    titles[nameless] = ["", " \n"]
    catalog = Catalog(shop().item_ids, shop().embeddings, shop().available_mask, titles)
    rows = [[INDEX[0, 0], INDEX[0, 1], INDEX[0, 2]], INDEX[0, 3:5], INDEX[0, 1:3], INDEX[0, 2:5]]
    train = Sequences.from_lists(rows)
    _, language_model = fit(monkeypatch, train=train, catalog=catalog)
    assert [sections(one)["History:"] for one in language_model.examples] == [
        [NAMES[INDEX[0, place]]] for place in (0, 2)
    ]
    answers = [read_answer("item", one.answer) for one in language_model.examples]
    assert answers == [[NAMES[INDEX[0, place]]] for place in (2, 3)]
    with pytest.raises(UsageError, match="titles"):
        fit(monkeypatch, train=train, catalog=Catalog(shop().item_ids, shop().embeddings, shop().available_mask))


def test_equal_prompts_are_asked_once_and_those_without_a_name_never(monkeypatch):
    model, language_model = fit(monkeypatch)
    top(model, [ROW, [], ROW], 5)
    assert len(language_model.asked) == 1
    assert language_model.sampling.answers_per_conversation == 20


def test_named_items_stand_first_and_llmseqsim_fills_the_list(monkeypatch):
    far = [int(INDEX[3, 3]), int(INDEX[4, 4])]
    answers = (
        [name_as_json(NAMES[far[0]])]
        + [name_as_json(NAMES[far[1]])] * 2
        + [name_as_json(NAMES[ROW[0]]), "nonsense", ""]
    )
    model, _ = fit(monkeypatch, lambda conversation: answers)
    scores, lists = top(model, [ROW], 10)
    _, near = recommend(LLMSeqSim().scorer(shop()), Sequences.from_lists([ROW]), 10)
    assert lists[0].tolist() == [far[1], far[0], *(item for item in near[0] if item not in far)][:10]
    assert (scores[0, :2] > 0).all()
    assert (scores[0, 2:] <= 0).all()
    _, repeats = top(model, [ROW], 3, allow_repeats=True)
    assert repeats[0].tolist() == [far[1], far[0], ROW[0]]


@pytest.mark.parametrize("constrained", [False, True])
def test_llmseqsim_makes_the_list_where_there_are_no_answers(monkeypatch, constrained):
    model, language_model = fit(monkeypatch, lambda conversation: [], constrained=constrained)
    monkeypatch.setattr(
        language_model, "choose_likeliest_answers", lambda conversations, choices, k: [[] for _ in conversations]
    )
    _, near = recommend(LLMSeqSim().scorer(shop()), Sequences.from_lists([ROW]), 5)
    assert top(model, [ROW], 5)[1].tolist() == near.tolist()


def test_rates_are_measured_beside_the_metrics(monkeypatch):
    answers = [name_as_json(NAMES[0]), name_as_json(NAMES[0]), "nonsense", ""]
    model, _ = fit(monkeypatch, lambda conversation: answers)
    counts = np.bincount(training().items, minlength=ITEMS)
    found = measure_scorer(model.scorer(shop()), cases(), shop(), counts, segment_masks={"some": np.arange(200) < 50})
    table = found.metrics_by_segment["all"].filter(pl.col("metric").str.ends_with("_rate"), pl.col("k") == 20)
    rows = {row["metric"]: row for row in table.to_dicts()}
    rates = {name: row["value"] for name, row in rows.items() if name != "hit_rate"}
    assert rates == pytest.approx({"duplicate_rate": 1 / 3, "hallucination_rate": 1 / 3, "invalid_rate": 1 / 4})
    assert rows["duplicate_rate"]["n"] == 200
    assert "duplicate_rate" not in found.metrics_by_segment["some"]["metric"].to_list()
    plain = measure_scorer(fitted("llmseqsim").scorer(shop()), cases(), shop(), counts)
    assert "duplicate_rate" not in plain.metrics_by_segment["all"]["metric"].to_list()


def test_constrained_answers_are_the_likeliest_names_that_may_be_recommended(monkeypatch):
    monkeypatch.setattr(
        "jobs.models.llmseqprompt.model.make_language_model", lambda parameters, paid_services: Bigrams()
    )
    model = LLMSeqPrompt({"constrained": True})
    model.fit(training(), cases(), shop(), FitOptions())
    scorer = model.scorer(shop())
    _, lists = recommend(scorer, cases().inputs, 1)
    assert (lists[:, 0] == cases().targets).mean() > 0.9
    allowed = np.ones(ITEMS, np.bool_)
    allowed[INDEX[0, 3]] = False
    scores, lists = recommend(scorer, Sequences.from_lists([ROW]), ITEMS, allowed_mask=allowed)
    assert set(lists[0]) - {-1} == set(range(ITEMS)) - {*ROW, INDEX[0, 3]}
    assert (scores[lists >= 0] > 0).all(), "all by the language model"
    assert scorer.answer_fault_rates() == {}


def test_a_choice_is_as_wide_whoever_is_beside_and_however_long_their_histories_are(monkeypatch):
    widths = []

    class Counting(Bigrams):
        def choose_likeliest_answers(self, conversations, choices, k):
            widths.append(k)
            return super().choose_likeliest_answers(conversations, choices, k)

    monkeypatch.setattr(
        "jobs.models.llmseqprompt.model.make_language_model", lambda parameters, paid_services: Counting()
    )
    model = LLMSeqPrompt({"constrained": True, "window": 2})
    model.fit(training(), cases(), shop(), FitOptions())
    _, lists = recommend(model.scorer(shop()), Sequences.from_lists([ROW * 400]), 3)
    assert not set(lists[0]) & set(ROW)
    recommend(model.scorer(shop()), Sequences.from_lists([ROW[:1]]), 3)
    recommend(model.scorer(shop()), Sequences.from_lists([ROW[:1], ROW]), 3)
    assert widths == [5, 5, 5], "by what is shown"


def test_made_up_names_are_replaced_by_their_embeddings(monkeypatch):
    class PaidServices:
        def embed_names(self, names):
            asked.append(names)
            return {name: shop().embeddings[INDEX[2, 5]] for name in names}

    asked = []
    model, _ = fit(
        monkeypatch, lambda conversation: ["a made-up name", name_as_json(NAMES[ROW[0]])], mapping="embedding"
    )
    model.paid_services = PaidServices()
    _, lists = top(model, [ROW, ROW[:2]], 1)
    assert asked == [["a made-up name"]], "once for all"
    assert lists[:, 0].tolist() == [INDEX[2, 5]] * 2


# --- the other variants ---


def test_a_list_to_learn_is_the_next_item_and_then_llmseqsims(monkeypatch):
    _, language_model = fit(monkeypatch, train=Sequences.from_lists([[*ROW, FAR]]), variant="list")
    (example,) = language_model.examples
    _, near = recommend(LLMSeqSim().scorer(shop()), Sequences.from_lists([ROW]), LIST_LENGTH - 1)
    assert read_answer("list", example.answer) == [NAMES[FAR], *(NAMES[item] for item in near[0])]


def test_a_list_that_is_answered_is_the_ranking(monkeypatch):
    wanted = [int(INDEX[4, 1]), int(INDEX[3, 2]), int(INDEX[2, 0])]
    script = "\n".join(f"{place}. {name_as_json(NAMES[item])}" for place, item in enumerate(wanted, 1))
    model, language_model = fit(monkeypatch, lambda conversation: script, variant="list")
    assert top(model, [ROW], 3)[1][0].tolist() == wanted
    assert language_model.sampling.answers_per_conversation == 1


def test_candidates_to_rank_are_llmseqsims_in_an_order_that_says_nothing(monkeypatch):
    model, language_model = fit(monkeypatch, train=Sequences.from_lists([[*ROW, FAR]]), variant="rank")
    _, near = recommend(LLMSeqSim().scorer(shop()), Sequences.from_lists([ROW]), LIST_LENGTH)
    (example,) = language_model.examples
    answer = read_answer("rank", example.answer)
    assert answer == [NAMES[FAR], *(NAMES[item] for item in near[0, :-1])], "it takes the last one's place"
    assert sorted(sections(example)["Options:"]) == sorted(answer) != sections(example)["Options:"]
    outsider = NAMES[INDEX[4, 5]]
    language_model.script = lambda one: "\n".join(map(name_as_json, [outsider, *sections(one)["Options:"][::-1]]))
    _, lists = top(model, [ROW, ROW[1:]], LIST_LENGTH)
    shown = sections(language_model.asked[0])["Options:"]
    assert sorted(shown) == sorted(NAMES[item] for item in near[0])
    assert [NAMES[item] for item in lists[0]] == shown[::-1], "what was not shown can't be chosen"


def test_without_embeddings_there_is_nothing_to_rank_or_to_group(monkeypatch):
    catalog = Catalog(shop().item_ids, np.zeros_like(shop().embeddings), shop().available_mask, shop().titles)
    model, language_model = fit(monkeypatch, catalog=catalog, variant="rank")
    _, lists = recommend(model.scorer(catalog), Sequences.from_lists([ROW]), 3)
    assert lists.tolist() == [[-1, -1, -1]]
    assert language_model.asked == []
    with pytest.raises(UsageError, match="nextmart embed"):
        fit(monkeypatch, catalog=catalog, variant="classify")


def test_groups_are_named_by_their_most_popular_item_and_learnt_by_their_distance(monkeypatch):
    monkeypatch.setattr("jobs.models.llmseqprompt.item_clusters.MAX_CLUSTERS", 5)
    model, language_model = fit(monkeypatch, variant="classify")
    counts = np.bincount(training().items, minlength=ITEMS)
    best = {int(block[np.lexsort((block, -counts[block]))[0]]) for block in INDEX}
    assert set(model.clusters.names) == {NAMES[item] for item in best}
    block_of = {NAMES[item]: block for block in range(5) for item in INDEX[block]}
    for example in language_model.examples:
        assert sections(example)["Options:"] == model.clusters.names
        answer = read_answer("classify", example.answer)
        assert len(answer) == 5
        assert block_of[answer[0]] == block_of[sections(example)["History:"][0]]
    again = Clusters.from_state(model.state())
    assert again.names == model.clusters.names
    assert (again.centres == model.clusters.centres).all()
    # each named group contributes its item most similar to the sequence
    language_model.script = lambda one: "\n".join(map(name_as_json, sections(one)["Options:"]))
    _, lists = top(model, [ROW], 5)
    assert [block_of[NAMES[item]] for item in lists[0]] == [block_of[name] for name in model.clusters.names]
    own = lists[0][[block_of[name] for name in model.clusters.names].index(0)]
    assert own == recommend(LLMSeqSim().scorer(shop()), Sequences.from_lists([ROW]), 1)[1][0, 0]


@pytest.mark.parametrize(
    "parameters",
    [{"constrained": True, "variant": "list"}, {"constrained": True, "provider": "openai"}],
)
def test_what_goes_not_together_is_refused(parameters):
    with pytest.raises(UsageError, match="llmseqprompt's constrained"):
        LLMSeqPrompt(parameters)


def test_the_service_needs_a_warehouse():
    nothing = Cases(Sequences.from_lists([]), np.empty(0, np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.models.llmseqprompt.model.make_language_model", MAKE)
        with pytest.raises(UsageError, match="nextmart train"):
            LLMSeqPrompt({"provider": "openai"}).fit(training(), nothing, shop(), FitOptions())
