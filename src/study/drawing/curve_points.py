"""The points in the figure of a curve: each arm on each task with its interval, and differences between lines."""

import pandas as pd

from src.params import Curve
from src.study.claims.curves import pairs_of_lines, x_of
from src.study.drawing.study_results import StudyResults, both_ways

SCORE, RATERS, DIFFERENCE = "score", "raters", "difference"  # rows of panels
OVER_TASKS = "mean over tasks"  # in place of a task; names of tasks have no blanks
XOfArms = dict[tuple[str, str], float]  # by task and name of an arm or a family
POINT = ["row", "task", "metric", "line", "x", "y", "low", "high"]


def curve_points(curve: Curve, results: StudyResults) -> pd.DataFrame:
    """A table with a row per point, one row of panels after the other.

    Returns:
        row, task, metric, line, x, y, low and high. y is a mean of the task's first metric or of KL to raters in nats,
        or a difference from the line `against`. Without an interval low and high are missing.
    """
    places = _places(curve, results)
    scores = _scores(curve, results, places)
    shown = [scores[scores["row"] == SCORE], scores[scores["row"] == RATERS]]
    if curve.against is not None:
        shown += [_differences(curve, results, places), _over_tasks(curve, results, places)]
    return pd.concat([table[POINT] for table in shown if len(table)], ignore_index=True)


def _places(curve: Curve, results: StudyResults) -> XOfArms:
    """The x value of each arm and family on each task. A family has the x value of its chosen trial."""
    standing = results.chosen(curve.role)
    names = {name for line in curve.lines.values() for name in line}
    keys = [(task, name) for task in results.records for name in names]
    return {key: x_of(results.params, curve, key[0], standing.get(key, key[1])) for key in keys}


def _scores(curve: Curve, results: StudyResults, places: XOfArms) -> pd.DataFrame:
    """The arms' mean scores and mean KL to raters. A task without raters has those of its second test set."""
    members = [(line, name) for line, names in curve.lines.items() for name in names]
    arms = results.tables.arms
    found = arms[arms["role"] == curve.role].merge(pd.DataFrame(members, columns=["line", "arm"]), on="arm")
    of_raters = found["metric"].str.fullmatch("(.+_)?kl_to_human")
    nearest = found[of_raters].groupby("task")["metric"].agg(lambda names: min(names, key=len)).to_dict()
    found["row"] = None
    found.loc[found["metric"] == found["task"].map(nearest), "row"] = RATERS
    found.loc[found["metric"] == found["task"].map(results.primary), "row"] = SCORE
    found["x"] = [places[key] for key in zip(found["task"], found["arm"], strict=True)]
    return found.rename(columns={"mean": "y"})


def _differences(curve: Curve, results: StudyResults, places: XOfArms) -> pd.DataFrame:
    """The differences between arms with the same x on a task."""
    found = _of_pairs(curve, results.tables.comparisons)
    found = found[found["metric"] == found["task"].map(results.primary)]
    x, other = ([places[key] for key in zip(found["task"], found[end], strict=True)] for end in ("arm", "against"))
    return found.assign(x=x)[[one == two for one, two in zip(x, other, strict=True)]]


def _over_tasks(curve: Curve, results: StudyResults, places: XOfArms) -> pd.DataFrame:
    """The differences over tasks between arms with one x on all tasks; none if the study has one task."""
    found = _of_pairs(curve, results.tables.over_tasks)
    stand = [
        {places[task, name] for task in results.records for name in pair}
        for pair in zip(found["arm"], found["against"], strict=True)
    ]
    first, *others = set(results.primary.values())
    found = found.assign(task=OVER_TASKS, metric="first metric" if others else first, x=list(map(min, stand)))
    return found[[len(results.records) > 1 and len(of_pair) == 1 for of_pair in stand]]


def _of_pairs(curve: Curve, table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of a curve's pairs. A pair that the table has only the other way round is turned."""
    pairs = pd.DataFrame([*pairs_of_lines(curve)], columns=["line", "arm", "against"])
    found = both_ways(table[table["role"] == curve.role]).merge(pairs, on=["arm", "against"])
    key = [name for name in ("line", "arm", "against", "task", "metric") if name in found]
    found = found.drop_duplicates(key)  # the table's own direction comes first
    return found.assign(row=DIFFERENCE).rename(columns={"difference": "y"})
