"""Errors of runs, from the logs of their units: `logs/<study>/<task>-<seed>.log`."""

import re
from typing import NamedTuple

from src.arms import distilled_arm
from src.parallel.study import LOGS_FOLDER
from src.parallel.units import Unit
from src.runs import RunName

COMMAND = re.compile(r"> python -m stages\.(?P<stage>finetune|student|distill) (?P<options>.*)")
OPTION = re.compile(r"--(\w+) (\S+)")
STOPPED = "stopped by SIG"
ENDS = ("error: ", "ERROR: ", STOPPED)  # the starts of lines that tell why a run ended


class Failure(NamedTuple):
    """When a run failed, in seconds since 1970, and the line that says why."""

    at: float
    line: str


def failures_in_log(study: str, task: str, seed: int) -> dict[RunName | None, Failure]:
    """The failure of each run in the log of its unit. The key None has a failure that came before any run.

    A run that a signal stopped has not failed, although DVC then says so.
    """
    log = LOGS_FOLDER / study / f"{Unit(task, seed, ()).name}.log"
    if not log.is_file():
        return {}
    at, run, found = log.stat().st_mtime, None, {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := COMMAND.fullmatch(line):
            run = _run_of(match["stage"], dict(OPTION.findall(match["options"])))
        elif line.startswith(ENDS) and run not in found:  # a stage's own line comes before DVC's
            found[run] = Failure(at, line)
    return {run: failure for run, failure in found.items() if not failure.line.startswith(STOPPED)}


def _run_of(stage: str, options: dict[str, str]) -> RunName:
    task, seed = options["task"], int(options["seed"])
    if stage == "finetune":
        return RunName(task, "teacher", options["arm"], seed)
    arm = options["arm"] if stage == "student" else distilled_arm(options["recipe"], options["teacher"])
    return RunName(task, "student", arm, seed)
