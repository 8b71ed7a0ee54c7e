"""A run that stops and goes on ends as one that never stopped; checkpoints are few, whole, and of this run only."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from src.core.machine.randomness import random_states, restore_random_states, stream_seed
from src.core.method.centroids import CENTROIDS
from src.core.method.terms import TERMS, Term
from src.core.models.classifier import load_classifier
from src.core.training import checkpoints as checkpoints_module
from src.core.training.checkpoints import KEPT, Checkpoints, checkpoints_of, checkpoints_root, run_key
from src.core.training.loading import prepare_run
from src.core.training.loop import Setup
from src.core.training.phases import train
from src.core.training_code import REPOSITORY, training_code
from src.data.prepared import LabelledSplit, PreparedTask
from src.params import CheckpointSettings, Objective
from src.runs import RunName
from src.system.errors import UserError
from src.system.interrupts import Stopped, StopRequest
from tests.conftest import flipped
from tests.support.objectives import BASE
from tests.support.training import ALWAYS, NEVER, SETTINGS, TWO_EPOCHS, Killed, KilledAt, data_for

RUN = RunName("tiny", "teacher", "ce", 0)
ARMS = {
    "ema centroids": ({"cmi_weight": 1.0, "centroid": "ema"}, TWO_EPOCHS),
    "centroids of each epoch, class space": ({"cmi_weight": 0.3, "space": "class", "centroid": "epoch"}, TWO_EPOCHS),
    "frozen centroids, rising weight": ({"cmi_weight": -0.5, "centroid": "frozen", "cmi_warmup": 0.5}, TWO_EPOCHS),
    "plain epochs first": ({"cmi_weight": -0.5}, SETTINGS.model_copy(update={"plain_epochs": 1, "epochs": 1})),
    "last epoch kept": (
        {"cmi_weight": -0.5},
        SETTINGS.model_copy(update={"plain_epochs": 1, "epochs": 1, "keep_epoch": "last"}),
    ),
    "head alone, several temperatures": (
        {"ncmi_weight": 1.0, "label_weight": 0.0, "cmi_weight": 0.3, "taus": [0.5, 2.0]},
        SETTINGS.model_copy(update={"epochs": 1, "head_epochs": 1}),
    ),
    "two passes, unit centres": ({"r_drop_weight": 0.5, "centre_weight": 0.1, "centre_map": "unit"}, TWO_EPOCHS),
    "contrastive": ({"contrastive_weight": 0.5}, TWO_EPOCHS),
    "patience": ({}, SETTINGS.model_copy(update={"lr": 1e-30, "patience": 1})),
}


def trained(source, arm: str, checkpoints: Checkpoints | None):
    torch.set_num_threads(1)
    torch.manual_seed(time.time_ns())  # nothing may depend on where the generators stood
    objective, settings = ARMS[arm]
    model = load_classifier(source, ["negative", "positive"], 0, stream_seed(0, "head"))
    wanted = Objective(**{**BASE, **objective})
    setup = Setup(model, data_for(source, noise=0.2), 0, Accelerator(cpu=True))
    result = train(setup, wanted, settings, checkpoints)
    return result, model.state_dict()


def test_every_rule_for_centroids_and_every_term_with_a_state_is_among_the_arms():
    objectives = [Objective(**{**BASE, **objective}) for objective, _ in ARMS.values()]
    assert {objective.centroid for objective in objectives} == set(CENTROIDS)
    with_a_state = {term for term in TERMS if term.stateful is not Term.stateful}
    assert {term for term in with_a_state if any(map(term.is_weighted, objectives))} == with_a_state


@pytest.mark.parametrize("arm", ARMS)
def test_a_killed_run_ends_as_one_that_was_not(tiny_encoder, tmp_path, arm):
    """Killed three times: within the first epoch, at its end, and within the second. Weights agree to the last bit."""
    whole, weights = trained(tiny_encoder, arm, None)
    for step in (4, 10, 17):
        with pytest.raises(Killed):
            trained(tiny_encoder, arm, KilledAt(tmp_path, step))
    resumed, same_weights = trained(tiny_encoder, arm, Checkpoints(tmp_path, NEVER))
    assert resumed.resumed_at == 17
    assert (resumed.history, resumed.best_epoch, resumed.steps) == (whole.history, whole.best_epoch, whole.steps)
    assert all(torch.equal(same_weights[name], weight) for name, weight in weights.items())


def test_a_run_killed_after_its_last_step_only_measures(tiny_encoder, tmp_path):
    whole, _ = trained(tiny_encoder, "ema centroids", None)
    with pytest.raises(Killed):
        trained(tiny_encoder, "ema centroids", KilledAt(tmp_path, 20))
    resumed, _ = trained(tiny_encoder, "ema centroids", Checkpoints(tmp_path, NEVER))
    assert (resumed.resumed_at, resumed.history) == (20, whole.history)


def saved(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder, ALWAYS)
    for step in steps:
        checkpoints.save(step, {"step": step, "tensor": torch.arange(1000.0)})
    return checkpoints


def test_no_more_are_kept_than_said(tmp_path):
    assert saved(tmp_path, 1, 2, 3, 10).load()["step"] == 10
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000000003.pt", "step-000000010.pt"]
    assert KEPT == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(tmp_path, capsys, damage):
    checkpoints = saved(tmp_path, 1, 2)
    newest = tmp_path / "step-000000002.pt"
    content = newest.read_bytes()
    newest.write_bytes({"flip": flipped(content, len(content) // 2), "cut": content[:-200], "empty": b""}[damage])
    assert checkpoints.load()["step"] == 1
    assert "step-000000002.pt is damaged and not used" in capsys.readouterr().err


def test_no_flipped_bit_of_the_values_goes_unseen(tmp_path):
    """A flip in the padding between parts changes no value; all others are found."""
    checkpoints = saved(tmp_path, 1)
    path = tmp_path / "step-000000001.pt"
    content, seen = path.read_bytes(), 0
    for place in range(0, len(content), 37):
        path.write_bytes(flipped(content, place))
        state = checkpoints.load()
        seen += state is None
        assert state is None or torch.equal(state["tensor"], torch.arange(1000.0))
    assert seen > 4000 / 37


def test_a_checkpoint_is_data_and_cannot_run_code(tmp_path):
    """A pickle that would call a function when it is loaded is refused."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    torch.save({"step": 1, "evil": Evil()}, tmp_path / "step-000000001.pt")
    assert Checkpoints(tmp_path, ALWAYS).load() is None
    assert not (tmp_path / "called").exists()


def test_a_checkpoint_that_fails_leaves_the_one_before(tmp_path):
    checkpoints = saved(tmp_path, 1)
    with pytest.raises(AttributeError, match="local object"):
        checkpoints.save(2, {"step": 2, "no value": lambda: None})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.pt"]


def test_saving_takes_no_more_than_its_share(tmp_path, monkeypatch):
    """A save of 3 s puts the next one off to 297 s later, however short the interval: 3 s of 300 are 1 %."""
    now = [1000.0]
    monkeypatch.setattr(checkpoints_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoints_module.torch, "save", lambda *_: now.__setitem__(0, now[0] + 3.0))
    checkpoints = Checkpoints(tmp_path, CheckpointSettings(seconds=10))
    assert not checkpoints.due()
    now[0] += 10.0
    assert checkpoints.due()
    checkpoints.save(1, {})
    now[0] += 296.0
    assert not checkpoints.due()
    now[0] += 1.0
    assert checkpoints.due()


def test_what_determines_a_run_is_in_its_key(tmp_path, monkeypatch):
    tensors = [torch.arange(3.0)]
    key = run_key({"lr": 1e-4, "seed": 0}, tensors)
    assert run_key({"seed": 0, "lr": 1e-4}, tensors) == key
    others = [
        run_key({"lr": 2e-4, "seed": 0}, tensors),
        run_key({"lr": 1e-4, "seed": 0}, [torch.tensor([0.0, 1.0, 2.5])]),
        run_key({"lr": 1e-4, "seed": 0}, [torch.arange(3.0).reshape(1, 3)]),
    ]
    for folder in ("src", "stages"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    monkeypatch.setattr(checkpoints_module, "training_code", partial(training_code, tmp_path))
    (tmp_path / "src/core/.#losses.py").symlink_to("user@host.1234")  # as Emacs marks what it edits
    assert run_key({"lr": 1e-4, "seed": 0}, tensors) == key
    for changed in ("src/core/method/losses.py", "src/runs.py"):
        with (tmp_path / changed).open("a") as file:
            file.write("# changed\n")
        others.append(run_key({"lr": 1e-4, "seed": 0}, tensors))
    assert len({key, *others}) == 6


def test_a_model_of_equal_weights_with_another_dropout_is_another_run(params, tiny_encoder, tmp_path):
    shutil.copytree(tiny_encoder.name, tmp_path, dirs_exist_ok=True)
    model = tiny_encoder.model_copy(update={"name": str(tmp_path)})
    settings = replace(params.teacher("vader-movie", "ce"), model=model)
    rows = LabelledSplit(["0", "1"], [("a",), ("b",)], np.array([0, 1]))
    task = PreparedTask("tiny", ["no", "yes"], ["accuracy"], rows, rows, {"test": rows, "transfer": rows})

    def configuration() -> str:
        return prepare_run(RUN, task, settings, None).configuration()

    before = configuration()
    assert str(tmp_path) not in before
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 0.5}))
    assert configuration() != before


@pytest.fixture
def in_repository(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "checkpoints"


def test_checkpoints_are_deleted_when_the_run_ends_well(in_repository):
    with checkpoints_of(RUN, "k" * 64, ALWAYS, Accelerator(cpu=True)) as checkpoints:
        checkpoints.save(1, {})
        assert [folder.name for folder in in_repository.iterdir()] == ["tiny-teacher-ce-0-kkkkkkkkkkkkkkkk-0"]
    assert list(in_repository.iterdir()) == []


def test_checkpoints_stay_when_it_does_not(in_repository):
    def killed() -> None:
        with checkpoints_of(RUN, "k", ALWAYS, Accelerator(cpu=True)) as checkpoints:
            checkpoints.save(1, {"step": 1})
            raise Killed

    with pytest.raises(Killed):
        killed()
    with checkpoints_of(RUN, "other", ALWAYS, Accelerator(cpu=True)) as checkpoints:
        assert checkpoints.load() is None
    with checkpoints_of(RUN, "k", ALWAYS, Accelerator(cpu=True)) as checkpoints:
        assert checkpoints.load() == {"step": 1}


def test_two_processes_never_share_a_folder(in_repository):
    """Experiments side by side may both train the arm that they have in common."""
    with (
        checkpoints_of(RUN, "k", ALWAYS, Accelerator(cpu=True)) as one,
        checkpoints_of(RUN, "k", ALWAYS, Accelerator(cpu=True)) as other,
    ):
        assert one.folder != other.folder
    assert list(in_repository.iterdir()) == []


def test_queued_experiments_share_the_checkpoints_of_their_repository(tmp_path, monkeypatch):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmp123"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert checkpoints_root() == tmp_path / "checkpoints"


def test_random_states_survive_a_checkpoint(tmp_path):
    device = torch.device("cpu")
    torch.save(random_states(device), tmp_path / "states.pt")
    drawn = [random.random(), float(np.random.random()), float(torch.rand(()))]
    restore_random_states(torch.load(tmp_path / "states.pt", weights_only=True), device)
    assert [random.random(), float(np.random.random()), float(torch.rand(()))] == drawn


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_first_and_then_stops(tiny_encoder, tmp_path, number):
    """Sent in the middle of a step, by the objective that is computed in it; the run then goes on as if nothing was."""
    whole, _ = trained(tiny_encoder, "ema centroids", None)

    class Signalled(Checkpoints):
        asked = 0

        def due(self) -> bool:
            self.asked += 1
            if self.asked == 7:
                os.kill(os.getpid(), number)
            return False

    name = signal.Signals(number).name
    with pytest.raises(Stopped, match=f"stopped by {name}: a checkpoint is saved at step 8; run it again"):
        trained(tiny_encoder, "ema centroids", Signalled(tmp_path, NEVER))
    resumed, _ = trained(tiny_encoder, "ema centroids", Checkpoints(tmp_path, NEVER))
    assert (resumed.resumed_at, resumed.history) == (8, whole.history)


def signalled(*numbers: int) -> None:
    with StopRequest():
        for number in numbers:
            os.kill(os.getpid(), number)


def test_a_second_signal_does_not_wait():
    with pytest.raises(Stopped, match="stopped by SIGINT: no half-written files"):
        signalled(signal.SIGTERM, signal.SIGINT)


def test_a_signal_that_comes_too_late_for_a_step_still_stops():
    with pytest.raises(Stopped, match="stopped by SIGTERM"):
        signalled(signal.SIGTERM)


@pytest.mark.process
def test_a_signal_that_was_ignored_stays_so():
    """nohup has the stage ignore SIGHUP."""
    code = "import os\nfrom src.system.interrupts import StopRequest\nwith StopRequest(): os.kill(os.getpid(), 1)\n"
    assert subprocess.run(["nohup", sys.executable, "-c", code], check=False).returncode == 0


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints_module.torch, "save", full)
    with pytest.raises(
        UserError, match=r"step-000000001\.pt: no space left on its disk; free some space and run again"
    ):
        Checkpoints(tmp_path, ALWAYS).save(1, {})
