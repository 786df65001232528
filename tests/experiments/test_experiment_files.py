"""ExperimentSpec files: what they mean, messages about wrong ones, and the files that come with the project."""

from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.experiments.spec import read_experiment

PRESETS = sorted((Path(__file__).resolve().parents[2] / "experiments").glob("*.toml"))


@pytest.fixture
def read(tmp_path):
    def parse(text):
        path = tmp_path / "file.toml"
        path.write_text(text)
        return read_experiment(path)

    return parse


def test_a_grid_is_every_combination_each_labelled(read):
    found = read("""
        name = "n"
        [[models]]
        family = "popularity"
        [[models]]
        family = "vsknn"
        label = "V"
        parameters = { idf = false, sample = 3 }
        grid = { neighbours = [1, 2], sample = [5, 6] }
    """).variants()
    assert [(variant.label, variant.parameters) for variant in found] == [
        ("popularity", {}),
        ("V neighbours=1 sample=5", {"idf": False, "neighbours": 1, "sample": 5}),
        ("V neighbours=1 sample=6", {"idf": False, "neighbours": 1, "sample": 6}),
        ("V neighbours=2 sample=5", {"idf": False, "neighbours": 2, "sample": 5}),
        ("V neighbours=2 sample=6", {"idf": False, "neighbours": 2, "sample": 6}),
    ]


def test_each_number_of_training_sequences_is_a_model_of_its_own(read):
    found = read("""
        name = "n"
        [[models]]
        family = "ease"
        [[models]]
        family = "vsknn"
        grid = { neighbours = [1, 2] }
        training_sequences = [10, 100]
    """).variants()
    assert [(variant.label, variant.parameters, variant.training_sequences) for variant in found] == [
        ("ease", {}, None),
        ("vsknn neighbours=1 training_sequences=10", {"neighbours": 1}, 10),
        ("vsknn neighbours=1 training_sequences=100", {"neighbours": 1}, 100),
        ("vsknn neighbours=2 training_sequences=10", {"neighbours": 2}, 10),
        ("vsknn neighbours=2 training_sequences=100", {"neighbours": 2}, 100),
    ]


MODEL = '[[models]]\nfamily = "vsknn"\n'
SPACE = 'name = "n"\n[search.space.sasrec]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'name = "n"\nsedes = [1]\n{MODEL}', "unknown key 'sedes': did you mean 'seeds'"),
        (f'name = "n"\n{MODEL}lable = "x"', "unknown key 'models.0.lable': did you mean 'label'"),
        (f'name = "n"\n{MODEL}training_sequences = [0]', "'models.0.training_sequences.0': Input should be greater"),
        ('name = "n"\n[search]\ntrails = 3\nspace = {}', "unknown key 'search.trails': did you mean 'trials'"),
        (SPACE + "dropout = {lo = 0.1, high = 0.2}", "unknown key 'search.space.sasrec.dropout.lo'"),
        (SPACE + "dropuot = {low = 0.1, high = 0.2}", "unknown parameter 'dropuot' of sasrec: did you mean 'dropout'"),
        (SPACE + "dropout = {low = 0.3, high = 0.2}", "low <= high"),
        (SPACE + "width = {low = 0.5, high = 2}", "is a whole number"),
        (SPACE + 'width = [8, "9"]', "'width' of sasrec must be of type int, not '9'"),
        (SPACE + "width = []", "no values"),
        (SPACE + "dropout = {low = 0.5, high = 1.0}", "sasrec's dropout must be at least 0 and below 1, not 1.0"),
        ('name = "n"\n[[models]]\nfamily = "sasreq"', "unknown family 'sasreq': did you mean 'sasrec'"),
        (f'name = "n"\n{MODEL}parameters = {{ samples = 3 }}', "unknown parameter 'samples' of vsknn: did you mean"),
        (f'name = "n"\n{MODEL}grid = {{ sample = [1, "x"] }}', "'sample' of vsknn must be of type int"),
        (f'name = "n"\n{MODEL}grid = {{ decay = ["last", "cubic"] }}', "vsknn's decay must be one of last, mean,"),
        (f'name = "n"\nbaseline = "vsnn"\n{MODEL}', "'vsnn' is no model's label: did you mean 'vsknn'"),
        (f'name = "n"\n{MODEL}{MODEL}', "two models are labelled 'vsknn'"),
        (f'name = "n"\nseeds = [1, 1]\n{MODEL}', "seeds are distinct"),
        (f'name = "n"\nk = 5\n{MODEL}', "'k'"),
        (f'name = "a/b"\n{MODEL}', "'name'"),
        (MODEL, "'name' is missing"),
        ('name = "n"', "nothing to do"),
        ('name = "n"\nname', "is not valid TOML"),
        (f'name = "n"\n{MODEL}embedding_model = "tiny"', "vsknn reads no embeddings"),
    ],
)
def test_what_is_wrong_is_said(read, text, message):
    with pytest.raises(UsageError) as raised:
        read(text)
    assert message in str(raised.value)
    assert "file.toml" in str(raised.value)


def test_what_goes_together_only_with_other_values_of_a_search_may_be_searched(read):
    assert read(SPACE + "heads = [3]\nwidth = [96]").search.space["sasrec"] == {"heads": [3], "width": [96]}


def test_an_absent_file_is_said(tmp_path):
    with pytest.raises(UsageError, match="can't read the experiment"):
        read_experiment(tmp_path / "absent.toml")


def test_there_is_a_preset_for_each_question():
    of_models = {"paper", "best", "retail", "small", "search", "share", "reranker", "leave_one_out"}
    of_language_models = {"prompts", "asking", "variants"}
    questions = of_models | of_language_models | {"reductions", "texts", "encoders", "decays"}
    assert {path.stem for path in PRESETS} == questions


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_are_valid_and_say_what_they_answer(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "?" in text.splitlines()[0]
    experiment = read_experiment(path)
    assert experiment.name == path.stem
    protocols = {"retail": "cutoff", "small": "leave_one_out", "leave_one_out": "leave_one_out"}
    assert experiment.protocol == protocols.get(path.stem, "paper")
    assert experiment.baseline
