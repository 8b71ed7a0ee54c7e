"""The curve of a run while it trains: TensorBoard reads each epoch once, whatever stopped the run, and nothing else
changes.
"""

import os
import shutil
import signal
from pathlib import Path

import pytest
import yaml
from accelerate import Accelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import stages.finetune
import stages.prepare
from src.core.machine.randomness import stream_seed
from src.core.models.classifier import load_classifier
from src.core.monitoring.event_files import curve_folder, event_files, read_curve
from src.core.monitoring.live import LiveCurve
from src.core.training.checkpoints import Checkpoints
from src.core.training.loop import Setup
from src.core.training.phases import train
from src.parallel.ray_tasks import show_curves
from src.params import Objective, Params
from src.repository.settings import settings_files
from src.runs import RunName
from src.system.files import read_csv
from tests.conftest import params_content
from tests.support.objectives import BASE
from tests.support.repository import digests, tiny_study
from tests.support.training import NEVER, SETTINGS, Killed, data_for

RUN = ("--task", "tiny", "--arm", "cmi_max", "--seed", "0")
CURVE = Path("logs/tensorboard/tiny/tiny/teacher/cmi_max/0")
THREE_EPOCHS = SETTINGS.model_copy(update={"epochs": 3})  # of 10 steps each
KIND = "live curves"


@pytest.fixture
def study(tmp_path, tiny_encoder, call):
    """A prepared task in the working folder, whose params a function writes anew."""

    def write(**runtime) -> None:
        content = tiny_study(tiny_encoder, tmp_path)
        content["runtime"] |= runtime
        content["finetune"]["training"]["epochs"] = 3
        Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    write()
    call(stages.prepare, "--task", "tiny")
    return write


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads: steps and values of each tag."""
    read = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_reads_each_epoch_and_off_leaves_the_same_bytes_and_no_curve(study, call):
    call(stages.finetune, *RUN)
    found = scalars(CURVE)
    history = read_csv(Path("runs/tiny/teacher/cmi_max/0/history.csv"))
    for column, tag in (("loss_total", "loss/total"), ("selection_accuracy", "selection/accuracy")):
        assert found[tag] == [(number, pytest.approx(value)) for number, value in enumerate(history[column], start=1)]
    assert {"selection/class_cmi", "selection/feature_cmi", "train/class_cmi", "loss/cmi"} <= set(found)
    assert {"selection/feature_norm", "training/learning_rate", "training/rows_per_second"} <= set(found)
    assert len(found) == len(history.columns) - 1 + 2  # less the number of the epoch; learning rate, rows a second
    assert [value for _, value in found["training/learning_rate"]] == pytest.approx([2.25e-3, 1.125e-3, 0])
    assert all(value > 0 for _, value in found["training/rows_per_second"])

    shown = digests(Path("runs"), ".")
    shutil.rmtree("runs")
    shutil.rmtree("logs")
    study(live=False)
    call(stages.finetune, *RUN)
    assert digests(Path("runs"), ".") == shown
    assert not Path("logs").exists()


def test_neither_value_makes_a_finished_run_stale():
    """All that DVC compares is in settings/, and all that a report shows comes from a dump of the params."""
    content, written = params_content(), []
    for live in (True, False):
        content["runtime"]["live"] = live
        params = Params.model_validate(content)
        written.append((settings_files(params), params.model_dump()))
    assert written[0] == written[1]
    assert params.runtime.live is False


def test_a_run_that_starts_anew_replaces_its_curve(tmp_path):
    for epochs in (3, 1):
        curve = LiveCurve(tmp_path)
        curve.begin([])
        for epoch in range(1, epochs + 1):
            curve.add({"epoch": epoch, "loss_total": 1 / epoch})
    assert len(event_files(tmp_path)) == 1
    assert scalars(tmp_path) == {"loss/total": [(1, 1.0)]}


def test_a_run_that_a_signal_stops_continues_its_curve(study, call, monkeypatch, capfd):
    add = LiveCurve.add

    def add_and_stop(curve: LiveCurve, row: dict, **more: float) -> None:
        add(curve, row, **more)
        if row["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(LiveCurve, "add", add_and_stop)
    with pytest.raises(SystemExit, match="143"):
        call(stages.finetune, *RUN)
    before = scalars(CURVE)
    monkeypatch.setattr(LiveCurve, "add", add)
    call(stages.finetune, *RUN)
    assert "going on from the checkpoint" in capfd.readouterr().out
    after = scalars(CURVE)
    assert [step for step, _ in before["training/rows_per_second"]] == [1, 2]
    for tag, values in after.items():
        assert [step for step, _ in values] == [1, 2, 3]
        assert values[:2] == before[tag]


class KilledAhead(Checkpoints):
    """Saves at one step, and is killed at a later one, which it does not save."""

    def __init__(self, folder: Path, saved: int, killed: int) -> None:
        super().__init__(folder, NEVER)
        self.saved, self.killed, self.asked = saved, killed, 0

    def due(self) -> bool:
        self.asked += 1  # after each step and each epoch
        if self.asked == self.killed:
            raise Killed
        return self.asked == self.saved


@pytest.mark.parametrize(("saved", "killed"), [(4, 24), (0, 13)], ids=["ahead by two", "no checkpoint"])
def test_no_epoch_stands_twice_or_is_missing(saved, killed, tiny_encoder, tmp_path):
    """Killed while the curve is ahead of the checkpoint by some epochs."""

    def trained(checkpoints: Checkpoints) -> list[dict]:
        model = load_classifier(tiny_encoder, ["negative", "positive"], 0, stream_seed(0, "head"))
        curve = LiveCurve(tmp_path / "curve")
        setup = Setup(model, data_for(tiny_encoder, noise=0.2), 0, Accelerator(cpu=True), curve=curve)
        return train(setup, Objective(**BASE), THREE_EPOCHS, checkpoints).history

    with pytest.raises(Killed):
        trained(KilledAhead(tmp_path / "checkpoints", saved, killed))
    history = trained(KilledAhead(tmp_path / "checkpoints", 0, 0))
    found = scalars(tmp_path / "curve")
    for tag, column in (("loss/total", "loss_total"), ("selection/nll", "selection_nll")):
        assert found[tag] == [(row["epoch"], pytest.approx(row[column])) for row in history]
    assert len(event_files(tmp_path / "curve")) == 1


def test_epochs_of_before_the_curve_come_from_the_history(tmp_path):
    curve = LiveCurve(tmp_path)
    curve.begin([{"epoch": 1, "loss_total": 0.5}])
    curve.add({"epoch": 2, "loss_total": 0.25}, rows_per_second=None)
    assert scalars(tmp_path) == {"loss/total": [(1, 0.5), (2, 0.25)]}


def test_copies_of_the_repository_show_their_curves_in_it(tmp_path, monkeypatch):
    run = RunName("tiny", "teacher", "ce", 0)
    places = {".dvc/tmp/units/tiny-0": "default", ".dvc/tmp/exps/temp/tmp1": "default@light"}
    monkeypatch.setenv("DVC_EXP_NAME", "light")
    for place, study in places.items():
        (tmp_path / place).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / place)
        assert curve_folder("default", run) == tmp_path / f"logs/tensorboard/{study}/tiny/teacher/ce/0"
    monkeypatch.chdir(tmp_path)
    assert curve_folder("default", run) == Path("logs/tensorboard/default/tiny/teacher/ce/0")


def test_what_nodes_write_beside_another_cache_shows_in_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    show_curves(tmp_path / ".dvc/cache")  # below which nodes write to the repository
    assert not Path("logs").exists()
    for _ in range(2):
        show_curves(tmp_path / "shared")
    written = tmp_path / "shared/units/logs/tensorboard/default"
    written.mkdir(parents=True)
    assert [path.resolve() for path in Path("logs/tensorboard/@ray").iterdir()] == [written]


@pytest.mark.fault
def test_a_curve_that_cannot_be_written_stops_no_run(study, call, capsys, record_fault):
    Path("logs").write_text("a file in the place of the folder")
    call(stages.finetune, *RUN)
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert line == f"warning: {CURVE}: cannot be written (Not a directory); the run trains on without a live curve"
    assert Path("runs/tiny/teacher/cmi_max/0/record.json").is_file()
    record_fault(KIND, "a file in the place of `logs/`", f"`` {line} ``")


@pytest.mark.fault
def test_a_damaged_event_file_costs_no_epoch(tmp_path, record_fault):
    curve = LiveCurve(tmp_path)
    rows = [{"epoch": number, "loss_total": 1 / number} for number in (1, 2, 3)]
    curve.begin([])
    for row in rows:
        curve.add(row, rows_per_second=10.0)
    [path] = event_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    found = read_curve(tmp_path)
    assert found is not None
    assert sorted(found.epochs) == [1, 2]
    LiveCurve(tmp_path).begin(rows)
    assert [step for step, _ in scalars(tmp_path)["loss/total"]] == [1, 2, 3]
    record_fault(KIND, "an event file cut short", "the run that goes on writes all epochs anew, from its checkpoint")


def test_an_error_of_a_run_stands_in_its_curve(study, call):
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["finetune"]["training"]["lr"] = 1e30
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(SystemExit):
        call(stages.finetune, *RUN)
    found = read_curve(CURVE)
    assert found is not None
    assert found.failed is not None
    assert "tiny/teacher/cmi_max/0: the loss is not finite" in found.failed[1]
