"""Checks of tasks with cross-validation.

With k folds, seed s tests fold s mod k in round s // k (`src.data.splits`). A round tests each row once, so a task
runs whole rounds.
"""

from pathlib import Path

from src.params.study import Params
from src.system.errors import UserError

Problem = tuple[str, str, str]  # key, what is wrong, what to do


def check_folded_tasks(path: Path, params: Params) -> None:
    """Check that no setting of a task with folds contradicts cross-validation.

    Raises:
        UserError: a setting does; the error names its key.
    """
    for task in folded_tasks(params):
        check_folds(path, params, task)
        for key, problem, allowed in _problems_of_study(params, task):
            raise UserError(f"{path}: {key}", problem, allowed)


def check_folds(path: Path, params: Params, task: str) -> None:
    """Check that a task, which need not be one of the study's, has no data that cross-validation would leave unused.

    Raises:
        UserError: it has folds and such data; the error names their key.
    """
    if params.folds_of(task) > 1:
        for key, problem, allowed in _problems_of_data(params, task):
            raise UserError(f"{path}: {key}", problem, allowed)


def check_rounds(path: Path, params: Params) -> None:
    """Check that the seeds of each task with folds make whole rounds.

    This is a check of whole studies, because a unit of a study has one seed.

    Raises:
        UserError: seeds are missing; the error names them.
    """
    for task in folded_tasks(params):
        folds, seeds = params.folds_of(task), params.seeds_of(task)
        rounds = {seed // folds for seed in seeds}
        whole = {folds * number + fold for number in rounds for fold in range(folds)}
        if missing := sorted(whole.difference(seeds)):
            problem = f"task '{task}' has {folds} folds but lacks {', '.join(map(str, missing))}"
            allowed = f"give it whole rounds of {folds} seeds: 0 to {folds - 1}, {folds} to {2 * folds - 1} and so on"
            raise UserError(f"{path}: seeds, more_seeds", problem, allowed)


def folded_tasks(params: Params) -> list[str]:
    """The tasks of a study that have folds."""
    return [task for task in params.tasks if params.folds_of(task) > 1]


def _problems_of_data(params: Params, task: str) -> list[Problem]:
    settings, key, one_cut = params.task(task), f"task_settings.{task}", _one_cut(task)
    found: list[Problem] = []
    if settings.source != "vader" and settings.test_split is not None:
        problem = f"the task has test split '{settings.test_split}', but folds test the rows of train"
        found.append((f"{key}.test_split", problem, f"set it to null, or {one_cut}"))
    if settings.max_rows.test is not None:
        found.append((f"{key}.max_rows.test", "folds test every row and allow no cap", f"set it to null, or {one_cut}"))
    if settings.also_test is not None:
        problem = "every fold would test the same second test set, which is no cross-validation"
        found.append((f"{key}.also_test", problem, f"set it to null, or {one_cut}"))
    return found


def _problems_of_study(params: Params, task: str) -> list[Problem]:
    found: list[Problem] = []
    if params.evaluate.families.listed():
        problem = f"task '{task}' has folds, and choosing a trial over folds reads labels that other folds test"
        found.append(("evaluate.families", problem, f"make claims about arms, or {_one_cut(task)}"))
    if params.submit and params.task(task).source == "glue":
        problem = f"task '{task}' has folds, each with its own model"
        found.append(("submit", problem, f"set it to [], or {_one_cut(task)}"))
    return found


def _one_cut(task: str) -> str:
    return f"set task_settings.{task}.folds to 1"
