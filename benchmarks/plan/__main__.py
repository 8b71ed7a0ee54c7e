"""Print the cost of a study: hours on this machine's cores in fp32 and in bf16, and hours on a GPU.

    python -m benchmarks.plan mechanism             measures speeds for one to five minutes
    python -m benchmarks.plan human --saved         takes speeds from benchmarks/results.json
    python -m benchmarks.plan glue --teacher-rate 1000 --student-rate 2200 --at-once 4

Units of one task and one seed are assigned to places as `stages.study` does. The options for rates take a run's
training rows per second, such as `rows_per_second` in timing/. A prediction then costs a third of a training step.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.plan.report import gpu_lines, hour_lines, speed_lines, work_lines
from benchmarks.plan.speeds import ROLES, gpu_name, gpu_speeds, measured_speeds, saved_on, saved_speeds
from benchmarks.plan.tasks import rows_of_task
from benchmarks.plan.work import Speeds, given_speeds, units_of_study
from benchmarks.variants import PRECISIONS
from src.parallel.slots import slots
from src.params import Params, Role
from src.study.named.overrides import study_params
from src.system.command_line import count
from src.system.errors import stage

SAVED_TASK = "vader-movie"  # the task of the figures in results.json


@stage
def main() -> None:
    """Print rows, speeds and hours."""
    arguments = parsed_arguments()
    params = study_params(arguments.name)
    at_once = len(slots(arguments.at_once, 1, params.runtime))
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        rows = {task: rows_of_task(params, task, Path(folder) / "study") for task in params.tasks}
        units = units_of_study(params, rows)
        tell(*work_lines(params.study, rows, units))
        speeds, how = speeds_asked_for(params, arguments, at_once, Path(folder) / "speeds")
    gpu: dict[Role, Speeds] = {role: gpu_speeds(params, role) for role in ROLES}
    tell(*speed_lines(speeds, units, how, at_once), *hour_lines(speeds, gpu, units, at_once))
    tell(*gpu_lines(gpu, units, gpu_name(), params.runtime.cuda_graphs))


def tell(*lines: str) -> None:
    """Print lines at once, without a buffer."""
    print("\n".join(lines), flush=True)


def parsed_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", default="glue", help="a folder in studies/ (glue)")
    for role in ROLES:
        parser.add_argument(f"--{role}-rate", type=above_zero, help="training rows per second of one run")
    parser.add_argument("--saved", action="store_true", help="take the figures of benchmarks/results.json")
    parser.add_argument("--at-once", type=count, help="units side by side (default: as many as there are cores for)")
    parser.add_argument("--steps", type=count, default=8, help="batches to measure (8)")
    found = parser.parse_args()
    given = [rate is not None for rate in (found.teacher_rate, found.student_rate)]
    if any(given) and (found.saved or not all(given)):
        parser.error("give both --teacher-rate and --student-rate, and leave out --saved")
    return found


def above_zero(text: str) -> float:
    """A number above 0."""
    if not (number := float(text)) > 0:
        raise ValueError(text)
    return number


def speeds_asked_for(
    params: Params, arguments: argparse.Namespace, at_once: int, scratch: Path
) -> tuple[dict[str, dict[Role, Speeds]], str]:
    """The speeds of both roles by the name of their column, and the source of the speeds."""
    if arguments.teacher_rate is not None:
        rates = dict(zip(ROLES, (arguments.teacher_rate, arguments.student_rate), strict=True))
        return {"given": {role: given_speeds(rate) for role, rate in rates.items()}}, "given"
    if arguments.saved:
        tokens = rows_of_task(study_params("default"), SAVED_TASK, scratch).tokens
        return {
            one: {role: saved_speeds(params, role, one, tokens) for role in ROLES} for one in PRECISIONS
        }, saved_on()
    found: dict[str, dict[Role, Speeds]] = {}
    for precision in PRECISIONS:
        print(f"... measuring {precision}", file=sys.stderr, flush=True)
        found[precision] = {
            role: measured_speeds(params, role, precision, at_once, arguments.steps, scratch) for role in ROLES
        }
    return found, "measured"


if __name__ == "__main__":
    main()
