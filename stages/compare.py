"""Compare two arms of finished studies on their test rows, task by task and over tasks, from the records in git.

A comparison that nobody planned before the runs is no claim: among many pairs, some differ by chance.
"""

import argparse

from src.study.drawing.scales import Scale, scale_of
from src.study.records.across import Difference, difference, read_arm, shared_tasks
from src.study.statistics.intervals import Estimate, mean_over_tasks
from src.system.errors import UserError, stage
from src.system.printing import counted

CONFIDENCE = 0.95


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", metavar="FIRST", help="STUDY/ROLE/ARM, such as glue-minilm/teacher/cmi_min")
    parser.add_argument("second", metavar="SECOND", help="the arm to compare it with")
    parser.add_argument("--metric", help="such as auc or nll (default: the first metric of each task)")
    parser.add_argument("--without", nargs="+", default=[], metavar="TASK", help="tasks to leave out")
    arguments = parser.parse_args()
    first, second = read_arm(arguments.first), read_arm(arguments.second)

    tasks = shared_tasks(first, second)
    if unknown := [task for task in arguments.without if task not in tasks]:
        raise UserError(f"--without {unknown[0]}", "is no task of both studies", f"allowed: {', '.join(tasks)}")
    left = [task for task in tasks if task not in arguments.without]
    if not left:
        raise UserError("--without", "leaves no task", "leave out fewer tasks")
    found = [difference(task, first, second, arguments.metric) for task in left]

    scale = scale_of({"metric": found[0].metric})
    print(f"{first} minus {second} on test rows, {scale.unit or 'without a unit'}, with 95 % intervals")
    for one in found:
        print(f"  {one.task} ({_of(one)}): {in_words(one.found, scale)}")
    over = mean_over_tasks([one.found for one in found])
    print(f"mean over {counted(len(found), 'task')}: {in_words(over, scale)}")


def _of(one: Difference) -> str:
    return f"{one.metric}, {counted(one.seeds, 'seed')}"


def in_words(found: Estimate, scale: Scale) -> str:
    """A difference with its interval and its p; fewer than five seeds give neither."""
    low, high = found.interval(CONFIDENCE)
    if low is None or high is None or found.p is None:
        return scale.told(found.mean)
    p = "p < 0.001" if found.p < 0.001 else f"p {found.p:.3f}"
    return f"{scale.told(found.mean)} ({scale.told(low)} to {scale.told(high)}), {p}"


if __name__ == "__main__":
    main()
