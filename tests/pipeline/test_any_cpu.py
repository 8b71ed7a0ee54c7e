"""Equal records give equal bytes on any CPU: its instructions decide the last bits of sums, and no digit in a file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from src.study.claims.families import selection_scores
from src.study.claims.tables import over_tasks
from src.study.records.task_records import TaskRecords
from src.study.statistics.digits import written_content, written_table
from src.study.statistics.intervals import RunValues
from tests.conftest import REPOSITORY

MORE_THAN_BASELINE = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
NAMED = sorted(
    path.parent.name
    for path in REPOSITORY.glob("studies/*/study.yaml")
    if (REPOSITORY / "metrics" / path.parent.name / "records").is_dir()
)
SMALL = "mechanism-pilot"
needs_more = pytest.mark.skipif(not MORE_THAN_BASELINE, reason="this CPU has no instructions beyond numpy's baseline")


def records_alone(folder: Path, name: str) -> Path:
    """A folder with nothing but a study's records and files."""
    shutil.copytree(REPOSITORY / "studies", folder / "studies")
    shutil.copy(REPOSITORY / "params.yaml", folder)
    shutil.copytree(REPOSITORY / "metrics" / name / "records", folder / "metrics" / name / "records")
    return folder


def run_without(features: list[str], folder: Path, command: list[str]) -> None:
    """Run Python where numpy does not use some of the CPU's instructions."""
    variables = {"PYTHONPATH": str(REPOSITORY), "NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    subprocess.run([sys.executable, *command], cwd=folder, env=os.environ | variables, check=True, capture_output=True)


def assert_same_files(one: Path, other: Path) -> None:
    first, second = ({path.relative_to(at): path for path in at.rglob("*") if _is_made(path)} for at in (one, other))
    assert any(path.name == "comparisons.csv" for path in first)
    assert first.keys() == second.keys()
    assert [str(path) for path in first if first[path].read_bytes() != second[path].read_bytes()] == []


def _is_made(path: Path) -> bool:
    """Whether statistics make it: audits of the study, and units to be joined, may lie beside it."""
    return path.is_file() and not {"audits", "units"} & set(path.parts)


def test_committed_tables_and_verdicts_are_what_any_cpu_makes(tmp_path):
    folder = records_alone(tmp_path, SMALL)
    imports = "from stages.evaluate import evaluate; from src.study.named.recorded import recorded_study"
    run_without(MORE_THAN_BASELINE, folder, ["-c", f"{imports}; evaluate(recorded_study({SMALL!r}))"])
    assert_same_files(folder / "metrics" / SMALL, REPOSITORY / "metrics" / SMALL)


@needs_more
@pytest.mark.slow
@pytest.mark.parametrize("study", NAMED)
def test_all_files_of_a_study_have_the_same_bytes_without_the_cpus_own_instructions(tmp_path, study):
    folders = [records_alone(tmp_path / name, study) for name in ("native", "baseline")]
    for without, folder in zip(([], MORE_THAN_BASELINE), folders, strict=True):
        run_without(without, folder, ["-m", "stages.statistics", "--name", study])
    assert_same_files(*folders)


def one_seed_differs(scale: float, order: np.random.Generator) -> RunValues:
    """Five runs of two arms on 71 rows; one run of the second arm is right in eight rows more."""
    rows = np.zeros((10, 71))
    rows[:, :40] = 1
    rows[7, 40:48] = 1
    rows = scale * rows[np.concatenate([order.permutation(5), 5 + order.permutation(5)])][:, order.permutation(71)]
    return RunValues(rows.mean(axis=1), rows)


def test_where_one_run_alone_differs_rounding_does_not_choose_the_degrees_of_freedom():
    """Two mean squares are equal then, and two of the three estimates."""
    order, scales = np.random.default_rng(0), [1, 0.1, 1 / 3, 1 / 7, 0.7, 1e-3]
    estimates = [
        one_seed_differs(scale, order).estimate([*range(5, 10)], [*range(5)]) for scale in scales for _ in range(20)
    ]
    assert all(found.freedom == pytest.approx(estimates[0].freedom, rel=1e-9) for found in estimates)
    assert estimates[0].freedom < 4  # that of all three terms; the seeds alone would have 4


def test_the_error_of_nearly_equal_arms_is_not_made_of_rounding():
    """The products of two arms would cancel: their difference is a hundred-millionth of their values."""
    generator = np.random.default_rng(0)
    one, difference = generator.normal(size=(5, 71)), 2.0**-30 * generator.integers(-8, 8, size=(5, 71))
    values = np.concatenate([one + difference, one])
    exact = values[:5] - values[5:]
    found = RunValues(values.mean(axis=1), values).estimate([*range(5)], [*range(5, 10)])
    expected = RunValues(exact.mean(axis=1), exact).estimate([*range(5)])
    assert found.freedom == pytest.approx(expected.freedom, rel=1e-12)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-12)


def test_a_constant_difference_has_no_error_though_its_values_are_rounded():
    rows = np.random.default_rng(0).normal(size=(5, 71))
    values = np.concatenate([rows + 0.1, rows])
    found = RunValues(values.mean(axis=1), values).estimate([*range(5)], [*range(5, 10)])
    assert (found.standard_error, found.p) == (0.0, 0.0)


def test_a_difference_of_rounding_alone_has_no_small_p():
    """With an error of 0 it would have p = 0, and with the sign that rounding gives it, turn a verdict."""
    rows = np.random.default_rng(0).normal(size=(5, 71))
    values = np.concatenate([(rows + 0.3) - 0.3, rows])
    found = RunValues(values.mean(axis=1), values).estimate([*range(5)], [*range(5, 10)])
    assert found.mean != 0
    assert (found.standard_error, found.p) == (0.0, 1.0)


def test_gains_that_cancel_are_a_tie():
    """0.1 + 0.2 - 0.3 is 5.6e-17."""
    tasks = pd.DataFrame({"difference": [0.1 + 0.2 - 0.3, 0.5], "standard_error": None, "freedom": None})
    found = over_tasks(tasks, 0.95)
    assert (found["wins"], found["ties"]) == (1, 1)


def test_of_equal_trials_the_first_stands_for_the_family():
    """Their seeds have the same scores in another order, whose sums differ in the last bit."""
    right = {"one": [1, 2, 3], "two": [3, 2, 1]}  # of ten rows, for each seed
    logits = {
        ("teacher", arm, seed): np.eye(2)[(np.arange(10) >= count).astype(int)]
        for arm, counts in right.items()
        for seed, count in enumerate(counts)
    }
    labels = pd.DataFrame({"label": np.zeros(10, int)})
    nothing = pd.DataFrame()
    task = {"metrics": ["accuracy"]}
    records = TaskRecords(task, nothing, nothing, {"selection": labels}, predictions(logits), nothing, None)
    found = selection_scores(records)
    assert np.mean([0.1, 0.2, 0.3]) != np.mean([0.3, 0.2, 0.1])
    assert found["teacher", "one"] == found["teacher", "two"]


def predictions(logits: dict[tuple[str, str, int], np.ndarray]) -> pd.DataFrame:
    """The records' table of selection's logits."""
    parts = [
        pd.DataFrame(of_rows, columns=["logit_0", "logit_1"]).assign(role=role, arm=arm, seed=seed, split="selection")
        for (role, arm, seed), of_rows in logits.items()
    ]
    return pd.concat(parts)


def test_numbers_beside_those_of_a_task_that_has_none_are_written_alike():
    """Arms of a task with few seeds have no interval; pandas then makes a column of objects."""
    few, many = (pd.DataFrame([{"arm": "ce", "low": low}]) for low in (None, 1 / 3))
    written = written_table(pd.concat([few, many]))["low"]
    assert written.iloc[1] == 0.33333333
    assert pd.isna(written.iloc[0])
    assert written_table(few).to_csv() == few.to_csv()


def test_files_have_the_digits_that_are_meant():
    numbers = [1 / 3, 0.1 + 0.2, -1e-17, 1 / 640]
    table = pd.DataFrame({"name": ["a"] * 4, "mean": numbers, "p": numbers, "freedom": numbers, "n": [5] * 4})
    assert written_table(table).to_dict("list") == {
        "name": ["a"] * 4,
        "mean": [0.33333333, 0.3, 0.0, 0.0015625],
        "p": [0.333333, 0.3, 0.0, 0.001562],
        "freedom": [0.333, 0.3, 0.0, 0.002],
        "n": [5] * 4,
    }
    assert written_content({"low": 1 / 3, "tasks": [{"p": 1 / 3, "n": 5}]}) == {
        "low": 0.33333333,
        "tasks": [{"p": 0.333333, "n": 5}],
    }
    boundary = 1 / 640 + np.array([-1e-16, 0, 1e-16])
    assert set(written_table(pd.DataFrame({"p": boundary}))["p"]) == {0.001562}
