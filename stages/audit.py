"""Redo one unit of a finished study with the present code, and compare it with the records in git.

A unit is a task and a seed. It trains in a copy of the repository, which uses no earlier results. If code, device,
instruction set, threads and libraries equal those of the records, equal bytes are expected. docs/take-away.md, section
Audits, has the rule for other cases. The exit status is 1 if something is surprising. A call after a kill starts anew.
"""

import argparse
import sys
import time
from pathlib import Path

from src.audit.choosing import AuditedUnit, check_choice, drawn_unit, units_to_choose_from
from src.audit.outcome import audit_of
from src.audit.redoing import audit_copy, redo
from src.audit.report import content, lines
from src.audit.table import audit_file
from src.parallel.options import add_arms_option
from src.parallel.slots import slots
from src.params import Params
from src.study.named.jobs import jobs_of, of_arms
from src.study.named.recorded import recorded_study
from src.study.records.task_records import load_records
from src.system.command_line import count
from src.system.errors import stage
from src.system.files import write_json


@stage
def main() -> None:
    arguments = _arguments()
    params = recorded_study(arguments.name)
    workers = len(slots(arguments.jobs, 1, params.runtime))

    unit = _unit(params, arguments, workers)
    print(f"{unit}, {workers} at a time; to redo this unit: {unit.command}", flush=True)
    recorded, began = load_records(unit.study, unit.task), time.monotonic()
    with audit_copy(unit, arguments.keep) as folder:
        redone = redo(unit, params, recorded, folder, workers)
        audit = audit_of(unit, params, recorded, redone, folder, time.monotonic() - began)

    print(*lines(audit), sep="\n")
    if arguments.record:
        write_json(audit_file(unit.study, unit.name), content(audit))
    if arguments.json is not None:
        write_json(arguments.json, content(audit))
    if audit.surprises:
        sys.exit(1)


def _unit(params: Params, arguments: argparse.Namespace, workers: int) -> AuditedUnit:
    """The requested unit, or a random one."""
    check_choice(params, arguments.task, arguments.seed)
    jobs, arms = jobs_of(params), tuple(arguments.arms)
    wanted = of_arms(jobs, arms) if arms else jobs
    units = units_to_choose_from(params, wanted, arguments.task, arguments.seed, arms, workers)
    given = arguments.task is not None and arguments.seed is not None
    return units[0] if given else drawn_unit(units, arguments.hours)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/, or the study of params.yaml")
    parser.add_argument("--task", help="a task of the study (default: at random)")
    parser.add_argument("--seed", type=int, help="a seed of the study (default: at random)")
    add_arms_option(parser)
    parser.add_argument(
        "--hours", type=float, default=1.0, help="the longest estimated time of a random unit (default: 1)"
    )
    parser.add_argument("--jobs", type=count, help="runs at a time (default: all GPUs, or as many as the cores allow)")
    parser.add_argument("--keep", action="store_true", help="keep the copy in audit/, with runs and logs")
    parser.add_argument("--record", action="store_true", help="write metrics/<study>/audits/<unit>.json, for git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same content to FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
