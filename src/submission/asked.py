"""Checks the key `submit` of params.yaml before anything trains."""

from pathlib import Path

from src.arms import arms_of
from src.params import PARAMS_FILE, Params, Role
from src.submission.files import OFFICIAL_TESTS
from src.system.errors import UserError


def tasks_of_glue(params: Params, path: Path = PARAMS_FILE) -> dict[str, str]:
    """The tasks of the study that have an official test split and learn all labels, with GLUE's names of them.

    Raises:
        UserError: there is no such task, one has folds, or two would write the same file.
    """
    settings = {task: params.task(task) for task in params.tasks}
    whole = {task: own for task, own in settings.items() if own.learnt_labels == own.labels}
    found = {task: own.part for task, own in whole.items() if own.source == "glue" and own.part in OFFICIAL_TESTS}
    if not found:
        allowed = f"add a task of source glue whose part is one of {', '.join(OFFICIAL_TESTS)}"
        raise UserError(f"{path}: tasks", "no task has an official test split", allowed)
    if folded := [task for task in found if params.folds_of(task) > 1]:
        problem = "has folds, each with its own model, and a submission is of one model"
        raise UserError(f"{path}: task '{folded[0]}'", problem, f"set task_settings.{folded[0]}.folds to 1")
    if twice := [part for part in found.values() if list(found.values()).count(part) > 1]:
        problem = f"two tasks would write the predictions of GLUE's {twice[0]}"
        raise UserError(f"{path}: tasks", problem, "keep one of them")
    return found


def check_arm(params: Params, role: Role, arm: str, where: str) -> None:
    """Check that the study has an arm.

    Raises:
        UserError: it has none of this name.
    """
    if arm not in (known := arms_of(params)[role]):
        raise UserError(where, f"no {role} arm '{arm}'", f"allowed: {', '.join(known)}")


def check_submissions(params: Params, path: Path = PARAMS_FILE) -> None:
    """Check before training that each submission can be made after it. Messages name the file `path`.

    Raises:
        UserError: an arm is unknown, the weights will not be kept, or there is no task of GLUE.
    """
    where = f"{path}: submit"
    for asked in params.submit:
        check_arm(params, asked.role, asked.arm, where)
    if params.submit:
        tasks_of_glue(params, path)
        if not params.runtime.keep_weights:
            raise UserError(where, "needs the weights of the runs", "set runtime.keep_weights to true")
