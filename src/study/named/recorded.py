"""Named studies that have records, in git or from a run on this machine."""

from src.params import Params
from src.study import run_command
from src.study.named.overrides import study_params
from src.study.records.recorded_runs import check_runs
from src.study.records.task_records import records_folder
from src.system.errors import UserError


def recorded_study(name: str) -> Params:
    """The params of a study that has records of all its tasks.

    Raises:
        UserError: no such study, some task has no records, or they have other runs than the study's file asks for.
    """
    params = study_params(name)
    missing = [folder for task in params.tasks if not (folder := records_folder(name, task)).is_dir()]
    if missing:
        some = len(missing) < len(params.tasks)
        where, problem = (missing[0], "has not run on this task") if some else (missing[0].parent, "has not run")
        raise UserError(where, f"is missing: study {name} {problem}", f"run `{run_command(name)}`")
    for task in params.tasks:
        check_runs(params, task)
    return params
