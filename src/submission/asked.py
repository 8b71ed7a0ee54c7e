"""Checks the key `submit` of params.yaml before anything trains."""

from collections.abc import Iterable
from pathlib import Path

from src.arms import arms_of
from src.data.sources.dataset import location_of_task
from src.data.sources.layouts import forms_of
from src.params import PARAMS_FILE, Params, Role
from src.submission.files import OFFICIAL_LABELS, OFFICIAL_TESTS
from src.system.errors import UserError


def tasks_of_glue(params: Params, path: Path = PARAMS_FILE) -> dict[str, str]:
    """The tasks of the study that have an official test split and learn all labels, with GLUE's names of them.

    Raises:
        UserError: there is no such task, one has folds or other labels than GLUE, or two would write the same file.
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
    for task, part in found.items():
        if [name.casefold() for name in settings[task].labels or []] != (official := OFFICIAL_LABELS[part]):
            problem = f"differs from GLUE's labels of {part}, whose order the server counts"
            raise UserError(f"{path}: task_settings.{task}.labels", problem, f"allowed: [{', '.join(official)}]")
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
        UserError: an arm is unknown, the weights will not be kept, there is no task of GLUE, or `glue.folder` lacks an
            official test split.
    """
    where = f"{path}: submit"
    for asked in params.submit:
        check_arm(params, asked.role, asked.arm, where)
    if params.submit:
        _check_official_tests(params, tasks_of_glue(params, path).items())
        if not params.runtime.keep_weights:
            raise UserError(where, "needs the weights of the runs", "set runtime.keep_weights to true")


def _check_official_tests(params: Params, parts: Iterable[tuple[str, str]]) -> None:
    """Check that a local folder has the official test splits, if the folder is on this machine."""
    for task, part in parts:
        place = location_of_task(params.task(task), params.glue)
        folder = Path(place.name)
        if place.kind != "folder" or not folder.is_dir():
            continue
        if missing := [test.split for test in OFFICIAL_TESTS[part] if not forms_of(folder, test.split)]:
            problem = f"has no {missing[0]} split, and submit predicts GLUE's official test splits"
            raise UserError(folder, problem, "add it as GLUE has it, without labels, or set submit to []")
