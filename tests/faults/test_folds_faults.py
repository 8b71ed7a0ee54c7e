"""Cross-validation that a task or a study cannot have: each is refused in one line before anything is made."""

from pathlib import Path

import pytest

import stages.check
import stages.clusters
import stages.finetune
import stages.prepare
from src.params import load_params
from src.study.records.unit_records import check_joinable
from src.study.simulations.cluster_effect import effect_of_clusters
from src.system.errors import UserError
from tests.conftest import labelled_texts
from tests.faults.hostile.cases import FINETUNE, PREPARE, TINY, Case, table, write_lines, write_params

KIND = "cross-validation"
OWN = TINY | {"test_split": None, "folds": 5}
TASK = "params.yaml: task_settings.tiny"
WHOLE = "give it whole rounds of 5 seeds: 0 to 4, 5 to 9 and so on"
SECOND = {"name": "more", "source": "folder", "path": "source", "split": "validation"}

STUDIES = {
    "test split": (
        "folds of a task with a test split of its own",
        {"task_settings.tiny": TINY | {"folds": 5}},
        f"{TASK}.test_split: the task has test split 'validation', but folds test the rows of train; set it to null,",
    ),
    "cap": (
        "folds of a task whose test rows are capped",
        {"task_settings.tiny": OWN | {"max_rows": {"test": 20}}},
        f"{TASK}.max_rows.test: folds test every row and allow no cap; set it to null, or set task_settings.tiny.folds",
    ),
    "also_test": (
        "folds of a task with a second test set",
        {"task_settings.tiny": OWN | {"also_test": SECOND}},
        f"{TASK}.also_test: every fold would test the same second test set, which is no cross-validation; set it to",
    ),
    "family": (
        "folds in a study that chooses among trials",
        {"task_settings.tiny": OWN, "evaluate.families": {"teacher": {"both": ["cmi_min", "cmi_max"]}, "student": {}}},
        "params.yaml: evaluate.families: task 'tiny' has folds, and choosing a trial over folds reads labels that",
    ),
    "two seeds": (
        "five folds with two seeds",
        {"task_settings.tiny": OWN},
        f"params.yaml: seeds, more_seeds: task 'tiny' has 5 folds but lacks 2, 3, 4; {WHOLE}",
    ),
    "fold twice": (
        "seeds of which two test the same fold",
        {"task_settings.tiny": OWN, "seeds": [0, 1, 2, 3, 5]},
        f"params.yaml: seeds, more_seeds: task 'tiny' has 5 folds but lacks 4, 6, 7, 8, 9; {WHOLE}",
    ),
    "more_seeds": (
        "more_seeds that are half a round",
        {
            "task_settings.tiny": TINY | {"test_split": None},
            "splits.folds": 5,
            "seeds": [0, 1, 2, 3, 4],
            "more_seeds": {"tasks": ["tiny"], "seeds": [5, 6]},
        },
        f"task 'tiny' has 5 folds but lacks 7, 8, 9; {WHOLE}",
    ),
    "no fold": (
        "no fold at all",
        {"splits.folds": 0},
        "params.yaml: splits.folds: not acceptable (got 0); it should be greater than or equal to 1",
    ),
}


@table(STUDIES)
def test_studies_that_cannot_be_folded(workplace, refused, case: Case):
    write_params(("tasks", ["tiny"]), *case.damage.items())
    refused(KIND, case, stages.check.main)


def test_folds_of_a_task_with_a_test_split_outside_the_study(workplace, refused):
    write_params(("task_settings.tiny", TINY | {"folds": 5}))
    fault, expected = "folds of a task with a test split that `tasks` does not name", f"{TASK}.test_split: the task has"
    refused(KIND, Case(fault, None, expected), stages.prepare.main, *PREPARE)


def test_more_folds_than_rows_of_a_label(workplace, refused):
    rows = [row | {"label": int(number < 3)} for number, row in enumerate(labelled_texts(40, 0))]
    write_lines("train.jsonl", rows)
    write_params(("task_settings.tiny", OWN), ("seeds", [0, 1, 2, 3, 4]))
    expected = "params.yaml: splits.folds: fold 0 of the 5 of task 'tiny' has no row of label 'positive'; set fewer"
    refused(KIND, Case("five folds with three rows of a label", None, expected), stages.prepare.main, *PREPARE)


def test_a_seed_without_a_fold(workplace, refused):
    write_params(("task_settings.tiny", OWN), ("seeds", [5, 6, 7, 8, 9]))
    stages.prepare.prepare_task("tiny", load_params())
    expected = "its fold has not been prepared for seed 0; run `dvc repro`"
    refused(KIND, Case("a run of a seed that prepare has not seen", None, expected), stages.finetune.main, *FINETUNE)


MEASURES = {
    "units": ("records of folds in units", check_joinable, "task_settings.tiny.folds: its records cannot be joined"),
    "clusters": (
        "`stages.clusters` of a study with folds",
        effect_of_clusters,
        "study default: task tiny: its intervals are over folds, not over rows or clusters; name a study",
    ),
}


@table(MEASURES)
def test_what_is_left_out_with_folds(workplace, record_fault, case: Case):
    write_params(("tasks", ["tiny"]), ("task_settings.tiny", OWN))
    with pytest.raises(UserError) as caught:
        case.damage(load_params())
    assert str(caught.value).startswith(case.expected)
    assert not Path("metrics").exists()
    record_fault(KIND, case.fault, f"`` {caught.value} ``")
