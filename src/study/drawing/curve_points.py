"""What the figure of a curve shows: a point for each arm and task with its interval, and the differences of lines."""

import pandas as pd

from src.params import Curve
from src.study.claims.curves import pairs_of_lines, x_of
from src.study.drawing.study_results import StudyResults

SCORE, RATERS, DIFFERENCE = "score", "raters", "difference"  # rows of panels
OVER_TASKS = "mean over tasks"  # in place of a task; no task's name has blanks
XOfArms = dict[tuple[str, str], float]  # by task and name of an arm or a family
POINT = ["row", "task", "metric", "line", "x", "y", "low", "high"]


def curve_points(curve: Curve, results: StudyResults) -> pd.DataFrame:
    """A table with one row a point, those of a row of panels together.

    Returns:
        row, task, metric, line, x, y, low and high. y is a mean of the task's first metric or of KL to raters in nats,
        or a difference to the line `against` in the first metric; without an interval low and high are missing.
    """
    places = _places(curve, results)
    scores = _scores(curve, results, places)
    shown = [scores[scores["row"] == SCORE], scores[scores["row"] == RATERS]]
    if curve.against is not None:
        shown += [_differences(curve, results, places), _over_tasks(curve, results, places)]
    return pd.concat([table[POINT] for table in shown if len(table)], ignore_index=True)


def _places(curve: Curve, results: StudyResults) -> XOfArms:
    """Where each arm and family stands on each task: a family stands where its chosen trial does."""
    standing = results.chosen(curve.role)
    names = {name for line in curve.lines.values() for name in line}
    keys = [(task, name) for task in results.records for name in names]
    return {key: x_of(results.params, curve, key[0], standing.get(key, key[1])) for key in keys}


def _scores(curve: Curve, results: StudyResults, places: XOfArms) -> pd.DataFrame:
    """The arms' means in what a curve shows. Where the task has no raters, those of its second test set are taken."""
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
    """Those of arms that stand at one x on a task."""
    found = _of_pairs(curve, results.tables.comparisons)
    found = found[found["metric"] == found["task"].map(results.primary)]
    x, other = ([places[key] for key in zip(found["task"], found[end], strict=True)] for end in ("arm", "against"))
    return found.assign(x=x)[[one == two for one, two in zip(x, other, strict=True)]]


def _over_tasks(curve: Curve, results: StudyResults, places: XOfArms) -> pd.DataFrame:
    """Those of arms that stand at one x, the same on all tasks; none where there is one task."""
    found = _of_pairs(curve, results.tables.over_tasks)
    stand = [
        {places[task, name] for task in results.records for name in pair}
        for pair in zip(found["arm"], found["against"], strict=True)
    ]
    first, *others = set(results.primary.values())
    found = found.assign(task=OVER_TASKS, metric="first metric" if others else first, x=list(map(min, stand)))
    return found[[len(results.records) > 1 and len(of_pair) == 1 for of_pair in stand]]


def _of_pairs(curve: Curve, table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that could be a curve's, turned round where the table has them the other way only."""
    pairs = pd.DataFrame([*pairs_of_lines(curve)], columns=["line", "arm", "against"])
    own = table[table["role"] == curve.role]
    turned = own.rename(columns={"arm": "against", "against": "arm", "low": "high", "high": "low"})
    turned[["difference", "low", "high"]] *= -1
    found = pd.concat([own, turned]).merge(pairs, on=["arm", "against"])
    found = found.drop_duplicates(["line", "arm", "against", *found.columns.intersection(["task", "metric"])])
    return found.assign(row=DIFFERENCE).rename(columns={"difference": "y"})
