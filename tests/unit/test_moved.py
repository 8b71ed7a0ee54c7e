"""How far CMI moved between the two sides of a claim: ratios and differences by closed forms, and those of a study."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student_t

from src.params import Calibrated, Claim, Mapped, Matched
from src.study.claims.claims_in_words import moved_in_words
from src.study.claims.moved import Manipulation, manipulation, measures_of, moved_table
from src.study.claims.tables import compared_task
from src.study.named.overrides import study_params
from src.study.records.scores import MeasuredTask, measured_task
from src.study.records.task_records import load_records
from src.study.statistics.intervals import RunValues
from tests.conftest import REPOSITORY

SEEDS = 5
ARMS = [
    ("teacher", "ce"),
    ("teacher", "cmi_min"),
    ("student", "plain"),
    ("student", "kd-ce"),
    ("student", "kd-cmi_min"),
]
NOISE = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])


def claim(role: str = "teacher", family: str = "cmi_min", against: str = "ce") -> Claim:
    ends = {"role": role, "family": family, "against": against}
    return Claim(statement="x", direction="higher", worthwhile=0.01, **ends)


def checks(cmi_of: dict[str, float], length_of: dict[str, float], **history: Any) -> Manipulation:
    """A task with these CMI and lengths of h by arm on test, cmi_min's CMI with noise over seeds on the log scale."""
    lines = [(role, arm, seed) for role, arm in ARMS for seed in range(SEEDS)]
    runs = pd.DataFrame(lines, columns=["role", "arm", "seed"]).assign(best_epoch=2)
    noise = np.tile(NOISE, len(ARMS)) * (runs["arm"] == "cmi_min")
    runs["feature_cmi"] = runs["arm"].map(cmi_of) * np.exp(noise)
    runs["feature_norm"] = runs["arm"].map(length_of)
    runs["class_cmi"] = 0.2 - 0.05 * (runs["arm"] == "cmi_min")
    epochs = pd.concat([runs[["role", "arm", "seed"]].assign(epoch=epoch) for epoch in (1, 2)], ignore_index=True)
    own = epochs["arm"] == "cmi_min"
    epochs["train_feature_cmi"] = np.where(epochs["epoch"] == 2, np.where(own, 0.03, 0.01), 0.5)
    epochs["train_class_cmi"] = np.where(own, 0.1, 0.4) / epochs["epoch"]
    epochs = epochs.assign(**history)
    measured = MeasuredTask("t", "accuracy", runs, {"class_cmi": RunValues(runs["class_cmi"].to_numpy())})
    compared = {"t": compared_task(measured, {("student", "kd"): "kd-cmi_min"})}
    taught = {"kd-ce": ("ce", None), "kd-cmi_min": ("cmi_min", None)}
    return Manipulation(compared, {"t": measures_of(measured, epochs)}, taught, "ce", 0.95)


CMI_OF = {"ce": 0.02, "cmi_min": 0.01, "plain": 0.04, "kd-ce": 0.03, "kd-cmi_min": 0.03}
LENGTH_OF = {"ce": 6.0, "cmi_min": 3.0, "plain": 6.0, "kd-ce": 6.0, "kd-cmi_min": 6.0}


def moved(made: Manipulation, asked: Claim) -> pd.DataFrame:
    """The table of one claim."""
    return moved_table(made, {"some": asked}, [{"name": "some", "tasks": [{"task": task} for task in made.compared]}])


def over_tasks(table: pd.DataFrame, split: str, measure: str, role: str = "teacher") -> pd.Series:
    """The line of a measure over tasks."""
    [found] = table.query("split == @split and measure == @measure and role == @role and task.isna()").index
    return table.loc[found]


def left_out(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """What has no value, and why."""
    columns = ["role", "split", "measure", "task", "left_out"]
    return [*table.loc[table["value"].isna(), columns].fillna("").itertuples(index=False, name=None)]


def test_half_the_cmi_at_half_the_length_is_twice_the_cmi_per_squared_length():
    found = moved(checks(CMI_OF, LENGTH_OF), claim())
    expected = {"feature_cmi": 0.5, "feature_norm": 0.5, "feature_cmi_per_squared_length": 2.0, "class_cmi": -0.05}
    assert {name: over_tasks(found, "test", name)["value"] for name in expected} == pytest.approx(expected)
    kinds = found.groupby("measure")["kind"].unique().str.join("").to_dict()
    assert kinds == dict.fromkeys(expected, "ratio") | {"class_cmi": "difference"}
    of_task = found.query("split == 'test' and measure == 'feature_cmi' and task == 't'")
    assert of_task["value"].tolist() == pytest.approx([0.5])


def test_the_interval_of_a_ratio_is_symmetric_on_the_log_scale():
    """Logs of -0.2 to 0.2 have a standard deviation of 0.1581, their mean one of 0.0707, t is 2.7764: 0.1963."""
    ratio = over_tasks(moved(checks(CMI_OF, LENGTH_OF), claim()), "test", "feature_cmi")
    assert (ratio["low"], ratio["high"]) == pytest.approx((0.5 * np.exp(-0.1963), 0.5 * np.exp(0.1963)), rel=1e-4)


def test_train_rows_are_those_of_the_epoch_that_was_kept():
    """The first epoch of every run has a CMI of 0.5."""
    found = moved(checks(CMI_OF, LENGTH_OF), claim())
    assert over_tasks(found, "train", "feature_cmi")["value"] == pytest.approx(3.0)
    assert over_tasks(found, "train", "class_cmi")["value"] == pytest.approx(-0.15)
    assert found.query("split == 'selection'")["value"].isna().all()
    assert ("teacher", "train", "feature_norm", "", "not known") in left_out(found)


def test_what_a_claim_of_students_manipulates_are_their_teachers():
    found = moved(checks(CMI_OF, LENGTH_OF), claim("student", "kd", "kd-ce"))
    sides = found[["role", "family", "against"]].drop_duplicates().to_numpy().tolist()
    assert sides == [["teacher", "cmi_min", "ce"], ["student", "kd", "kd-ce"]]
    assert over_tasks(found, "test", "feature_cmi")["value"] == pytest.approx(0.5)
    assert over_tasks(found, "test", "feature_cmi", "student")["value"] == pytest.approx(1.0)
    assert moved_in_words(found)[0].startswith("CMI of teacher cmi_min against ce: of h 0.50 x")


def test_a_student_without_a_teacher_stands_for_one_of_the_baseline():
    found = moved(checks(CMI_OF, LENGTH_OF), claim("student", "kd-cmi_min", "plain"))
    assert found.iloc[0][["role", "family", "against"]].tolist() == ["teacher", "cmi_min", "ce"]
    assert over_tasks(found, "test", "feature_cmi", "student")["value"] == pytest.approx(0.75)
    alone = moved(checks(CMI_OF, LENGTH_OF), claim("student", "kd-ce", "plain"))  # both have teacher ce
    assert alone["role"].unique().tolist() == ["student"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Matched(teacher="ce", like="cmi_min"), "a teacher taught at another temperature"),
        (Calibrated(teacher="ce"), "a teacher taught at another temperature"),
        (Mapped(name="up", teacher="ce", cmi_weight=-1.0), "a teacher taught through an affine map"),
    ],
)
def test_a_teacher_that_was_changed_has_no_class_cmi(change, told):
    made = checks(CMI_OF, LENGTH_OF)
    made.taught_by["kd-ce"] = ("ce", change)
    found = left_out(moved(made, claim("student", "kd-cmi_min", "kd-ce")))
    for split in ("test", "selection", "train"):
        assert ("teacher", split, "class_cmi", "", told) in found
    assert ("student", "test", "class_cmi") not in [line[:3] for line in found]


def test_a_map_of_one_side_alone_is_left_out():
    own = [0.001 if arm == "ce" else np.nan for _ in (1, 2) for _, arm in ARMS for _ in range(SEEDS)]
    found = moved(checks(CMI_OF, LENGTH_OF, train_unit_softmax_cmi=own), claim())
    assert ("teacher", "train", "unit_softmax_cmi", "", "one side has another map") in left_out(found)
    assert "unit_sigmoid_cmi" not in found["measure"].tolist()  # neither side has it


def test_cmi_of_0_has_no_ratio():
    found = moved(checks(CMI_OF | {"ce": 0.0}, LENGTH_OF), claim())
    on_test = found[(found["split"] == "test") & found["value"].notna()]
    assert on_test["measure"].unique().tolist() == ["feature_norm", "class_cmi"]
    assert ("teacher", "test", "feature_cmi", "", "not known") in left_out(found)


def test_a_task_that_lacks_a_measure_has_a_line_that_says_so():
    first, second = checks(CMI_OF, LENGTH_OF), checks(CMI_OF | {"ce": 0.0}, LENGTH_OF)
    compared, measures = ({"t": one["t"], "u": other["t"]} for one, other in (
        (first.compared, second.compared), (first.measures, second.measures)))  # fmt: skip
    found = moved(replace(first, compared=compared, measures=measures), claim())
    of_cmi = found.query("split == 'test' and measure == 'feature_cmi'")
    assert of_cmi["task"].fillna("").tolist() == ["", "t", "u"]
    assert of_cmi["value"].tolist() == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)
    assert ("teacher", "test", "feature_cmi", "u", "not known") in left_out(found)


def test_words_tell_ratios_and_nats():
    [told] = moved_in_words(moved(checks(CMI_OF, LENGTH_OF), claim()))
    assert told.startswith(
        "CMI of teacher cmi_min against ce: of h 0.50 x (0.41 to 0.61), per squared length 2.00 x (1.64 to 2.43), "
        "class -0.050 nats (-0.050 to -0.050) on test; of h 3.00 x "
    )
    assert told.endswith("class -0.150 nats (-0.150 to -0.150) on train.")


def test_a_claim_about_no_task_has_no_lines_and_no_words():
    made = checks(CMI_OF, LENGTH_OF)
    found = moved_table(made, {"some": claim()}, [{"name": "some", "tasks": []}])
    assert found.empty
    assert moved_in_words(found) == []


@pytest.mark.study
@pytest.mark.parametrize(
    ("arm", "cmi", "length", "per_length"),
    [("cmi_min", 0.47, 0.72, (0.92, 0.81, 1.04)), ("cmi_max", 1.46, 1.21, (1.00, 0.96, 1.04))],
)
def test_cmi_fell_with_the_length_of_h(monkeypatch, arm, cmi, length, per_length):
    """`glue-minilm-fixed` without WNLI; `per_length` has the interval that takes the seven tasks as a sample."""
    monkeypatch.chdir(REPOSITORY)
    params = study_params("glue-minilm-fixed")
    compared, measures = {}, {}
    for task in (task for task in params.tasks if task != "wnli"):
        records = load_records(params.study, task)
        measured = measured_task(records, params.evaluate.ece_bins)
        compared[task], measures[task] = compared_task(measured, {}), measures_of(measured, records.history)
    found = moved(manipulation(params, compared, measures), claim(family=arm))
    ratios = {name: over_tasks(found, "test", name)["value"] for name in ("feature_cmi", "feature_norm")}
    assert ratios == pytest.approx({"feature_cmi": cmi, "feature_norm": length}, abs=0.006)
    own = found.query("split == 'test' and measure == 'feature_cmi_per_squared_length'")
    logs = np.log(own["value"].iloc[1:])
    half = student_t.ppf(0.975, 6) * logs.std(ddof=1) / 7**0.5
    as_a_sample = (own["value"].iloc[0], *np.exp([logs.mean() - half, logs.mean() + half]))
    assert as_a_sample == pytest.approx(per_length, abs=0.006)
    page = (REPOSITORY / "studies/glue-minilm-fixed/README.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{arm}` | {cmi} (")]
    assert row.endswith("| {low:.2f} to {high:.2f} |".format(**own.iloc[0]))
