"""Teachers that are changed after their training: matched in CMI, calibrated and mapped."""

import numpy as np
import pytest
import torch

from src.arms import arms_of
from src.core.distillation.changed_teachers import changed_logits, matched_in_cmi, temperature_for_cmi
from src.core.distillation.teacher_logits import teacher_logits
from src.core.method.cmi import measure
from src.core.metrics import nll_rows
from src.core.training.loading import learnt_rows
from src.data.prepared import LabelledSplit, PreparedTask, Split
from src.params import Calibrated, Changed, Mapped, Matched, Params
from src.repository.settings import settings_of_task
from src.runs import RunName, logits_table
from src.system.errors import UserError
from src.system.files import write_parquet

ROWS = {"train": 400, "selection": 120, "transfer": 30}
KIND = "teachers changed after training"
CALIBRATED, MAPPED = Calibrated(teacher="ce"), Mapped(name="up", teacher="ce", cmi_weight=-0.3)


def logits_and_labels(scale: float):
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=400)
    logits = scale * (np.eye(2)[labels] * 1.5 + generator.standard_normal((400, 2)))
    return logits.astype(np.float32), labels


def class_cmi(logits, labels) -> float:
    return measure(torch.tensor(logits), torch.tensor(labels), 2).cmi


def test_a_scaled_copy_is_matched_by_its_scale():
    logits, labels = logits_and_labels(1.0)
    assert temperature_for_cmi(logits, labels, class_cmi(logits / 1.7, labels)) == pytest.approx(1.7, rel=1e-3)


def test_matched_logits_have_the_cmi_of_the_other_teacher():
    plain, labels = logits_and_labels(1.0)
    like = logits_and_labels(1.4)[0]
    assert class_cmi(like, labels) > class_cmi(plain, labels) + 0.01
    more = np.concatenate([plain, plain[:30]])  # transfer rows follow the labelled ones
    matched, match = matched_in_cmi(more, like, labels)
    assert class_cmi(matched[: len(labels)], labels) == pytest.approx(class_cmi(like, labels), abs=1e-5)
    assert matched == pytest.approx(more / match.temperature)
    assert match.temperature < 1
    assert match.reached == pytest.approx(match.target, abs=1e-5)


def test_a_cmi_out_of_reach_gets_the_nearest():
    logits, labels = logits_and_labels(1.0)
    best = temperature_for_cmi(logits, labels, 5.0)
    at_best = class_cmi(logits / best, labels)
    assert all(class_cmi(logits / other, labels) <= at_best + 1e-6 for other in (0.1, 0.3, 1.0, 3.0))


def task_of(labels: dict[str, np.ndarray], first: int = 0) -> PreparedTask:
    """A task of rows that are called by their numbers from `first`."""
    rows = {split: [str(first + row) for row in range(number)] for split, number in ROWS.items()}
    train, selection = (LabelledSplit(rows[split], [], labels[split]) for split in ("train", "selection"))
    return PreparedTask("t", ["no", "yes"], [], train, selection, {"transfer": Split(rows["transfer"], [])})


@pytest.fixture
def task(tmp_path, monkeypatch) -> PreparedTask:
    """A task with the runs of two teachers, ce and the sharper cmi_max, whose logits are three times as large."""
    monkeypatch.chdir(tmp_path)
    labels, scores = {}, {}
    for seed, (split, rows) in enumerate(ROWS.items()):
        generator = np.random.default_rng(seed)
        labels[split] = generator.integers(2, size=rows)
        scores[split] = 1.5 * np.eye(2)[labels[split]] + generator.standard_normal((rows, 2))
    made = task_of(labels)
    for arm, scale in (("ce", 1.0), ("cmi_max", 3.0)):
        save_teacher(made, arm, {split: (scale * own).astype(np.float32) for split, own in scores.items()})
    return made


def save_teacher(task: PreparedTask, arm: str, logits: dict[str, np.ndarray]) -> None:
    folder = RunName("t", "teacher", arm, 0).folder()
    folder.mkdir(parents=True, exist_ok=True)
    ids = {split: task.splits[split].row_ids for split in logits}
    write_parquet(folder / "logits.parquet", logits_table(logits, ids))


def taught(change: Changed, task: PreparedTask) -> tuple[np.ndarray, np.ndarray, str]:
    """The teacher's logits for train and transfer rows as they are and changed, and what the run says of it."""
    plain = teacher_logits(task, change.teacher, 0, transfer=True)
    changed, told = changed_logits(change, task, 0, transfer=True)
    assert changed.dtype == plain.dtype
    assert len(changed) == ROWS["train"] + ROWS["transfer"]
    return plain, changed, told


def test_a_matched_teacher_is_told_with_both_cmi(task):
    plain, changed, told = taught(Matched(teacher="ce", like="cmi_max"), task)
    assert told.startswith("ce at temperature 0.33")
    assert "nats (cmi_max has " in told
    assert changed == pytest.approx(3 * plain, rel=1e-3)


@pytest.mark.parametrize("arm", ["ce", "cmi_max"])
def test_a_calibrated_teacher_has_the_temperature_of_the_least_nll_on_selection(task, arm):
    plain, changed, told = taught(Calibrated(teacher=arm), task)
    temperature = float(plain[0, 0] / changed[0, 0])
    assert changed == pytest.approx(plain / temperature, rel=1e-5)
    assert told.startswith(f"{arm} at temperature {temperature:.4f}: selection NLL ")
    assert temperature == pytest.approx({"ce": 0.7, "cmi_max": 2.1}[arm], rel=0.2)


def test_teachers_that_differ_by_a_temperature_are_one_when_calibrated(task):
    one, other = (changed_logits(Calibrated(teacher=arm), task, 0, transfer=False)[0] for arm in ("ce", "cmi_max"))
    assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize(("weight", "sign"), [(1.0, -1), (-1.0, 1)])
def test_a_mapped_teacher_is_fitted_on_train_and_maps_transfer_rows_alike(task, weight, sign):
    rows = ROWS["train"]
    plain, changed, told = taught(Mapped(name="up", teacher="ce", cmi_weight=weight), task)
    fitted_to = np.column_stack([plain, np.ones(len(plain))])
    slope, *_ = np.linalg.lstsq(fitted_to[:rows].astype(float), changed[:rows].astype(float), rcond=None)
    assert changed[rows:] == pytest.approx(fitted_to[rows:] @ slope, abs=1e-4)
    labels = task.train.labels
    cmi = [class_cmi(logits[:rows], labels) for logits in (plain, changed)]
    assert sign * (cmi[1] - cmi[0]) > 0.005
    nll = [nll_rows(labels, logits[:rows]).mean() for logits in (plain, changed)]
    words = f"train CMI {cmi[0]:.4f} to {cmi[1]:.4f} nats, NLL {nll[0]:.4f} to {nll[1]:.4f} nats, predictions of "
    assert told.startswith(f"ce mapped with cmi_weight {weight:g}: {words}")
    assert told.endswith(f" of {rows} rows change")


def test_a_mapped_teacher_sees_no_label_that_its_student_does_not_see(task):
    def half_taught() -> np.ndarray:
        return changed_logits(MAPPED, task, 0, transfer=False, train_share=0.5)[0]

    before, whole = half_taught(), changed_logits(MAPPED, task, 0, transfer=False)[0]
    unseen = np.setdiff1d(np.arange(ROWS["train"]), learnt_rows(ROWS["train"], 0.5, seed=0).numpy())
    task.train.labels[unseen] = 1 - task.train.labels[unseen]
    assert np.array_equal(half_taught(), before)
    assert not np.allclose(before, whole, atol=1e-3)


def test_a_study_without_them_has_the_params_and_settings_of_before(params):
    assert {*params.distill.model_dump()} == {"recipes", "matched"}
    asked = {"calibrated": ["ce"], "mapped": [{"name": "up", "teacher": "ce", "cmi_weight": -0.3}]}
    more = Params.model_validate(params.model_dump() | {"distill": params.distill.model_dump() | asked})
    assert arms_of(more)["student"] == [*arms_of(params)["student"], "kd-ce_calibrated", "kd-up"]
    before, after = (settings_of_task(one, "vader-movie") for one in (params, more))
    assert after == before | {"vader-movie/mapped/up.json": {"teacher": "ce", "cmi_weight": -0.3}}


@pytest.mark.fault
@pytest.mark.parametrize("change", [CALIBRATED, MAPPED, Matched(teacher="ce", like="cmi_max")], ids=lambda one: one.key)
def test_logits_of_other_rows(task, change, record_fault):
    """As after a change of the task's data that only `prepare` has seen."""
    other = task_of({split: task.splits[split].labels for split in ("train", "selection")}, first=5)
    with pytest.raises(UserError) as refused:
        changed_logits(change, other, 0, transfer=False)
    line = str(refused.value)
    assert line == "runs/t/teacher/ce/0: its train rows differ from the prepared task's; run `dvc repro` from prepare"
    record_fault(KIND, f"a {change.key} teacher whose logits are of other rows", f"`` error: {line} ``")


@pytest.mark.fault
def test_selection_logits_of_other_rows(task, record_fault):
    selection = LabelledSplit(task.selection.row_ids[::-1], [], task.selection.labels)
    other = PreparedTask("t", task.label_names, [], task.train, selection, task.unlabelled)
    with pytest.raises(UserError, match="its selection rows differ from the prepared task's") as refused:
        changed_logits(CALIBRATED, other, 0, transfer=False)
    record_fault(KIND, "a calibrated teacher whose selection rows are others", f"`` error: {refused.value} ``")


@pytest.mark.fault
@pytest.mark.parametrize("change", [CALIBRATED, MAPPED], ids=lambda one: one.key)
def test_a_teacher_that_was_not_trained(task, change, record_fault):
    with pytest.raises(UserError, match="runs/t/teacher/ce/1: this run has not been made; run `dvc repro`") as refused:
        changed_logits(change, task, 1, transfer=False)
    record_fault(KIND, f"a {change.key} teacher before its training", f"`` error: {refused.value} ``")


@pytest.mark.fault
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            CALIBRATED,
            "distill.calibrated (ce_calibrated, task t, seed 0): the best temperature for the selection "
            "labels is not between 0.05 and 50; give the task more selection rows, or leave this teacher out",
        ),
        (
            MAPPED,
            "distill.mapped (up, task t, seed 0): the fit of its map finds no minimum, perhaps because an affine "
            "map gets every train label right; set another cmi_weight, or train its teacher for fewer epochs",
        ),
    ],
    ids=["calibrated", "mapped"],
)
def test_a_teacher_that_is_always_right(task, change, told, record_fault):
    """The sharper, the better: no map is best."""
    sure = {split: np.eye(2, dtype=np.float32)[task.splits[split].labels] for split in ("train", "selection")}
    save_teacher(task, "ce", sure)
    with pytest.raises(UserError) as refused:
        changed_logits(change, task, 0, transfer=False)
    assert str(refused.value) == f"params.yaml: {told}"
    record_fault(KIND, f"a {change.key} teacher that gets all labels right", f"`` error: {refused.value} ``")


@pytest.mark.fault
def test_a_teacher_that_is_worse_than_chance(task, record_fault):
    """The softer, the better."""
    wrong = {split: np.eye(2, dtype=np.float32)[1 - task.splits[split].labels] for split in ("train", "selection")}
    save_teacher(task, "ce", wrong)
    with pytest.raises(UserError, match="the best temperature for the selection labels is not") as refused:
        changed_logits(CALIBRATED, task, 0, transfer=False)
    record_fault(KIND, "a calibrated teacher that is worse than chance", f"`` error: {refused.value} ``")
