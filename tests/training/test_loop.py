"""The training loop: which epoch's weights are kept, and how a killed training resumes from its checkpoint."""

import pickle

import numpy as np
import pytest
import torch
from known_answers import cases, fit, shop, training
from safetensors import safe_open
from torch import nn

from jobs.core.cases import NO_CASES
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.sequential import model as sequential
from jobs.nightly.model_store import model_to_bytes
from jobs.training.loop import train

PARAMETERS = {"learning_rate": 0.1, "weight_decay": 0.01, "averaging": 0.0, "epochs": 6, "patience": 2}


class Killed(BaseException):
    """Stands for the end of the process."""


class Task:
    """A small regression with dropout and random batches, whose validation scores are given in advance."""

    def __init__(self, scores, kill_at=None, **parameters):
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.module.register_buffer("kept", torch.ones(1))  # a buffer is no weight, so it is not averaged
        self.scores, self.kill_at = scores, kill_at
        self.parameters = {**PARAMETERS, **parameters}
        self.after = []  # the weights after each epoch of this process
        self.modes = []  # whether dropout was on: per batch True, per validation False

    def run(self, checkpoint=None, seed=3, is_time_up=None):
        train(
            self.module,
            self._batches,
            self._loss,
            self._validate,
            self.parameters,
            "training the task",
            seed=seed,
            checkpoint_file=checkpoint,
            is_time_up=is_time_up,
        )
        return self.weights()

    def weights(self):
        return {name: value.clone() for name, value in self.module.state_dict().items()}

    def _batches(self, generator):
        self.epoch_draw = generator.random()
        for _ in range(3):
            yield torch.from_numpy(generator.standard_normal((5, 4), dtype=np.float32))

    def _loss(self, batch):
        self.modes.append(self.module.training)
        return (self.module(batch) - batch.sum(dim=1, keepdim=True)).square().mean()

    def _validate(self):
        self.modes.append(self.module.training)
        epoch = len(self.after)
        self.after.append(self.weights())
        if epoch + 1 == self.kill_at:
            raise Killed
        return self.scores[epoch]


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_best_epochs_weights_are_kept_and_patience_ends_the_training():
    task = Task([0.1, 0.5, 0.4, 0.3, 0.9, 0.9])
    kept = task.run()
    assert len(task.after) == 4  # the second was best; two epochs without a gain
    assert equal(kept, task.after[1])
    assert not equal(kept, task.after[3])


def test_an_equal_score_is_no_gain():
    task = Task([0.5, 0.5, 0.5, 0.9])
    assert equal(task.run(), task.after[0])
    assert len(task.after) == 3


def test_a_training_whose_time_is_up_ends_between_epochs_and_keeps_the_best(capsys):
    task = Task([0.5, 0.4, 0.9, 0.9])
    assert equal(task.run(is_time_up=lambda: len(task.after) >= 2), task.after[0])
    assert len(task.after) == 2
    assert (
        "training the task was stopped after 2 of at most 6 epochs, because its time was up" in capsys.readouterr().err
    )


def test_the_first_epoch_runs_however_little_time_there_is():
    task = Task([0.5, 0.9])
    assert equal(task.run(is_time_up=lambda: True), task.after[0])


def test_time_that_is_never_up_changes_nothing_and_is_not_asked_for_at_the_end(capsys):
    asked = []
    scores = [0.1, 0.5, 0.4, 0.3]
    assert equal(Task(scores).run(is_time_up=lambda: asked.append(1) and None), Task(scores).run())
    assert len(asked) == 3, "between the four epochs, and not when training has ended anyway"
    assert "time was up" not in capsys.readouterr().err


def test_a_training_that_was_cut_short_is_not_trained_further_while_its_time_is_up(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    task = Task([0.5, 0.9, 0.9])
    wanted = task.run(path, is_time_up=lambda: len(task.after) >= 2)
    again = Task([9, 9])
    assert equal(again.run(path, is_time_up=lambda: True), wanted)
    assert again.after == []


def test_a_gain_starts_the_patience_anew():
    task = Task([0.5, 0.4, 0.6, 0.5, 0.7, 0.6])
    assert equal(task.run(), task.after[4])
    assert len(task.after) == 6


def test_training_ends_at_the_last_epoch_while_scores_still_gain_and_says_so(capsys):
    task = Task([1, 2, 3, 4, 5, 6, 7, 8])
    assert equal(task.run(), task.after[5])
    assert len(task.after) == 6
    assert "was still gaining in its last epoch" in capsys.readouterr().err


def test_training_that_ended_by_patience_says_nothing_of_its_last_epoch(capsys):
    Task([0.5, 0.4, 0.4]).run()
    assert "still gaining" not in capsys.readouterr().err


def test_without_a_usable_score_the_last_epochs_weights_are_kept():
    task = Task([float("nan")] * 6)
    assert equal(task.run(), task.after[-1])


def test_the_averaged_weights_are_validated_and_kept():
    plain, averaged = Task([1, 2], epochs=2), Task([1, 2], epochs=2, averaging=0.9)
    start = {name: value.double() for name, value in plain.weights().items()}
    steps = []
    original = plain._loss
    plain._loss = lambda batch: steps.append(plain.weights()) or original(batch)
    plain.run()
    ends = [*steps[1:], plain.weights()]  # after each of the six steps
    for number, weights in enumerate(ends, start=1):
        decay = min(0.9, (1 + number) / (10 + number))
        start = {name: decay * mean + (1 - decay) * weights[name] for name, mean in start.items()}
    kept = averaged.run()
    assert equal(kept, averaged.after[-1])
    for name, mean in start.items():
        torch.testing.assert_close(kept[name], mean.float())
    assert not equal(kept, plain.weights())


def test_a_killed_training_resumes_with_its_averaged_weights(tmp_path):
    whole = Task([1, 2, 3, 2, 1, 0], averaging=0.9).run()
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        Task([1, 2, 3], kill_at=3, averaging=0.9).run(path)
    assert equal(Task([3, 2, 1, 0], averaging=0.9).run(path), whole)


def test_dropout_is_on_in_batches_and_off_in_validation_and_afterwards():
    task = Task([1, 2], epochs=2)
    task.run()
    assert task.modes == [True, True, True, False] * 2
    assert not task.module.training


def test_each_epoch_draws_its_own_batches():
    draws = []

    class Listening(Task):
        def _validate(self):
            draws.append(self.epoch_draw)
            return super()._validate()

    Listening([1, 2, 3], epochs=3).run()
    assert len(set(draws)) == 3


def resumed(path, scores, kill_at, seed=3):
    """Run until killed in the middle of ``kill_at``, then go on in a new process's objects."""
    first = Task(scores, kill_at)
    with pytest.raises(Killed):
        first.run(path, seed)
    second = Task(scores[kill_at - 1 :])
    for value in second.module.parameters():
        nn.init.zeros_(value)  # the weights must come from the checkpoint, none from a fresh start
    return second, second.run(path, seed)


@pytest.mark.parametrize("kill_at", [2, 3, 4])
def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path, kill_at):
    scores = [0.1, 0.5, 0.4, 0.7, 0.6, 0.2]
    whole = Task(scores)
    wanted = whole.run(tmp_path / "whole.safetensors")
    second, found = resumed(tmp_path / "killed.safetensors", scores, kill_at)
    assert equal(found, wanted)
    assert len(second.after) == len(whole.after) - (kill_at - 1)
    assert all(equal(*pair) for pair in zip(second.after, whole.after[kill_at - 1 :], strict=True))


def test_the_best_epoch_may_lie_before_the_kill(tmp_path):
    scores = [0.1, 0.9, 0.4, 0.3]
    wanted = Task(scores).run()
    second, found = resumed(tmp_path / "checkpoint.safetensors", scores, kill_at=4)
    assert equal(found, wanted)
    assert len(second.after) == 1


def test_a_finished_training_is_not_trained_further_from_its_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    wanted = Task([3, 2, 1]).run(path)
    again = Task([9, 9, 9])
    assert equal(again.run(path), wanted)
    assert again.after == []


def test_a_kill_in_the_first_epoch_leaves_no_checkpoint(tmp_path):
    path = tmp_path / "folder" / "checkpoint.safetensors"
    with pytest.raises(Killed):
        Task([1], kill_at=1).run(path)
    assert not path.exists()


def test_a_checkpoint_changes_nothing_in_the_result(tmp_path):
    scores = [0.1, 0.5, 0.4, 0.7, 0.6, 0.2]
    assert equal(Task(scores).run(tmp_path / "checkpoint.safetensors"), Task(scores).run())


def test_a_checkpoint_is_safetensors_in_one_file_and_is_never_unpickled(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a checkpoint was unpickled")

    path = tmp_path / "checkpoint.safetensors"
    Task([1, 2], epochs=2).run(path)
    for target in (pickle, torch):
        monkeypatch.setattr(target, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    Task([3, 4], epochs=4).run(path)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    with safe_open(path, framework="pt") as file:
        assert {key.split(".")[0] for key in file.keys()} == {"weights", "best", "average", "optimizer"}  # noqa: SIM118


class Bomb:
    exploded = False

    def __reduce__(self):
        return (explode, ())


def explode():
    Bomb.exploded = True


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", pickle.dumps(Bomb())])
def test_a_file_that_is_no_checkpoint_is_ignored_and_training_starts_over(tmp_path, content, capsys):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    scores = [0.1, 0.5, 0.4]
    assert equal(Task(scores, epochs=3).run(path), Task(scores, epochs=3).run())
    assert not Bomb.exploded
    assert "starting over" in capsys.readouterr().err


def test_a_truncated_checkpoint_is_ignored_too(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    scores = [0.1, 0.5, 0.4]
    wanted = Task(scores, epochs=3).run(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert equal(Task(scores, epochs=3).run(path), wanted)


@pytest.mark.parametrize("family", ["bert4rec", "llm2bert4rec", "sasrec", "llm2sasrec", "gru4rec"])
def test_a_family_killed_in_the_middle_ends_with_the_same_bits(tmp_path, monkeypatch, family):
    wanted = fit(family, epochs=5)
    killed = make_model(family, wanted.given_parameters)
    context = FitOptions(0, tmp_path / "checkpoint.safetensors")
    epochs = iter([False, False, True])

    def score_or_die(*arguments):
        if next(epochs):
            raise Killed
        return type(killed)._validation_score(killed, *arguments)

    monkeypatch.setattr(killed, "_validation_score", score_or_die)
    with pytest.raises(Killed):
        killed.fit(training(), cases(), shop(), context)
    resumed_model = make_model(family, wanted.given_parameters)
    torch.rand(11)  # in another process the random generator has another state
    resumed_model.fit(training(), cases(), shop(), context)
    assert model_to_bytes(resumed_model, shop()) == model_to_bytes(wanted, shop())


def test_without_validation_all_epochs_run_and_the_last_is_kept():
    task = Task([])
    task._validate = None
    task.run()
    assert len(task.modes) == 3 * PARAMETERS["epochs"]


@pytest.mark.parametrize("allow_repeats", [False, True])
def test_validation_ranks_repeated_items_only_where_lists_may_hold_them(monkeypatch, allow_repeats):
    judged = []
    nothing = np.zeros(1)
    monkeypatch.setattr(sequential, "case_ndcgs", lambda _scorer, _cases, repeats: judged.append(repeats) or nothing)
    model = make_model("sasrec", {"width": 8, "blocks": 1, "heads": 1, "epochs": 1})
    model.fit(training(), cases(), shop(), FitOptions(allow_repeats=allow_repeats))
    assert judged == [allow_repeats]


def test_a_refit_trains_on_all_sequences_for_the_best_number_of_epochs():
    model = fit("sasrec", width=8, blocks=1, heads=1, epochs=3)
    by_hand = make_model("sasrec", {**model.parameters_in_use, "epochs": model.best_epoch})
    by_hand.fit(training(), NO_CASES, shop(), FitOptions())
    assert model_to_bytes(model.refit(training(), shop(), FitOptions()), shop()) == model_to_bytes(by_hand, shop())
