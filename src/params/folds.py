"""Cross-validation: what a task with folds cannot have.

Of k folds seed s tests fold s mod k of round s // k (`src.data.splits`). A round tests each row once, so a task runs
whole rounds.
"""

from pathlib import Path

from src.params.study import Params
from src.system.errors import UserError

Problem = tuple[str, str, str]  # key, what is wrong, what to do


def check_folded_tasks(path: Path, params: Params) -> None:
    """Refuse what cannot be folded.

    Raises:
        UserError: names the key.
    """
    for task in folded_tasks(params):
        for key, problem, allowed in _problems(params, task):
            raise UserError(f"{path}: {key}", problem, allowed)


def check_rounds(path: Path, params: Params) -> None:
    """Refuse seeds that are no whole rounds. A unit of a study has one seed, so this is of whole studies.

    Raises:
        UserError: names the seeds that are missing.
    """
    for task in folded_tasks(params):
        folds, seeds = params.folds_of(task), params.seeds_of(task)
        rounds = {seed // folds for seed in seeds}
        whole = {folds * number + fold for number in rounds for fold in range(folds)}
        if missing := sorted(whole.difference(seeds)):
            problem = f"task '{task}' has {folds} folds, and lacks {', '.join(map(str, missing))}"
            allowed = f"whole rounds of {folds} seeds: 0 to {folds - 1}, {folds} to {2 * folds - 1} and so on"
            raise UserError(f"{path}: seeds, more_seeds", problem, allowed)


def folded_tasks(params: Params) -> list[str]:
    """The tasks of a study that have folds."""
    return [task for task in params.tasks if params.folds_of(task) > 1]


def _problems(params: Params, task: str) -> list[Problem]:
    settings, key = params.task(task), f"task_settings.{task}"
    one_cut = f"{key}.folds: 1"
    found: list[Problem] = []
    if settings.source != "vader" and settings.test_split is not None:
        problem = f"'{settings.test_split}' is a test split, and folds test the rows of train"
        found.append((f"{key}.test_split", problem, f"null, or {one_cut}"))
    if settings.max_rows.test is not None:
        found.append((f"{key}.max_rows.test", "folds test every row, so no cap fits", f"null, or {one_cut}"))
    if settings.also_test is not None:
        problem = "every fold would test the same second test set, which is no cross-validation"
        found.append((f"{key}.also_test", problem, f"null, or {one_cut}"))
    if params.evaluate.families.listed():
        problem = f"task '{task}' has folds, and to choose a trial over folds reads labels that other folds test"
        found.append(("evaluate.families", problem, f"claims about arms, or {one_cut}"))
    if params.submit and settings.source == "glue":
        found.append(("submit", f"task '{task}' has folds, each with a model of its own", f"[], or {one_cut}"))
    return found
