"""Compare two arms of finished studies on their test rows, task by task and over tasks, from the records in git.

A comparison that nobody planned before the runs is no claim: among many pairs, some differ by chance.
"""

import argparse
import sys
from dataclasses import replace

from src.study.drawing.scales import Scale, better, scale_of
from src.study.named.across import Difference, StudyArm, difference, read_arm, shared_tasks
from src.study.statistics.intervals import FEWEST_SEEDS, Estimate, mean_over_tasks
from src.system.errors import UserError, stage
from src.system.printing import counted

CONFIDENCE = 0.95


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", metavar="FIRST", help="STUDY/ROLE/ARM, such as glue-minilm/teacher/cmi_min")
    parser.add_argument("second", metavar="SECOND", help="the arm to compare it with")
    parser.add_argument("--metric", help="such as auc or nll (default: the first metric of each task)")
    parser.add_argument("--without", action="append", default=[], metavar="TASK", help="a task to leave out")
    arguments = parser.parse_args()
    first, second = read_arm(arguments.first), read_arm(arguments.second)

    tasks = tasks_to_compare(first, second, arguments.without)
    found = [difference(task, first, second, arguments.metric) for task in tasks]

    metric = found[0].metric
    scale = scale_of(metric)
    scale = replace(scale, digits=scale.digits + 1)  # an end of an interval near 0 keeps its sign
    lower = "; lower is better" if better(metric) == "lower" else ""
    print(f"{first} minus {second} on test rows: mean{scale.unit and f' in {scale.unit}'}, 95 % interval{lower}")
    for one in found:
        told = in_words(one.found, scale, why_without_interval(one))
        print(f"  {one.task} ({one.metric}, {counted(one.seeds, 'seed')}): {told}")
    reasons = dict.fromkeys(why_without_interval(one) for one in found if one.found.p is None)
    over = in_words(mean_over_tasks([one.found for one in found]), scale, "; ".join(reasons))
    print(f"mean over {counted(len(found), 'task')}: {over}")
    if narrow := [one.task for one in found if one.found.standard_error == 0]:
        line = f"the error on {', '.join(narrow)} is 0, so the interval over tasks is too narrow"
        print(f"warning: {line}", file=sys.stderr)


def tasks_to_compare(first: StudyArm, second: StudyArm, without: list[str]) -> list[str]:
    """The tasks of both studies but those to leave out."""
    shared = shared_tasks(first, second)
    for task in without:
        if task not in shared:
            raise UserError(f"--without {task}", "the studies do not share this task", f"allowed: {', '.join(shared)}")
    if left := [task for task in shared if task not in without]:
        return left
    raise UserError("--without", "leaves out all shared tasks", f"keep one of {', '.join(shared)}")


def why_without_interval(found: Difference) -> str:
    """Why a difference that has no interval has none."""
    return (
        "fewer than five seeds" if found.seeds < FEWEST_SEEDS else "test rows count as fewer than two independent ones"
    )


def in_words(found: Estimate, scale: Scale, why_without: str) -> str:
    """A difference with its interval and its p, or with the reason why it has none."""
    low, high = found.interval(CONFIDENCE)
    if low is None or high is None or found.p is None:
        return f"{scale.told(found.mean)}, without an interval ({why_without})"
    p = "p < 0.001" if found.p < 0.001 else f"p {found.p:.3f}"
    return f"{scale.told(found.mean)} ({scale.told(low)} to {scale.told(high)}), {p}"


if __name__ == "__main__":
    main()
