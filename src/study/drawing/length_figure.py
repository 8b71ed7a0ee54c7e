"""The figure of a loss's effect on h: the length of h, its CMI, and the arm's gain.

Scaling h by k multiplies a small CMI by k squared (docs/controls.md, Controls of CMI in feature space). A line in the
figure shows this rule: an arm on it changed only the length of h. Lengths and CMI are ratios to the baseline, on
selection rows.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from src.study.claims.moved import CMI, LENGTH, PER_LENGTH, in_kept_epochs, of_split
from src.study.drawing.panels import COLOURS, add_legend, entitle, panels, save, shortened
from src.study.drawing.study_results import StudyResults, both_ways

NAMES = {LENGTH: "length of h", CMI: "CMI of h", PER_LENGTH: "CMI of h per squared length"}
# Quotients of the highest and the lowest ratio on an axis. Above the first, ticks at 1, 2 and 5 are enough. Up to the
# second, an axis also needs ticks between whole numbers.
FEW_NUMBERS_ABOVE, CLOSE = 4, 2


def draw_length(results: StudyResults, path: Path) -> None:
    """Draw CMI against length, and the gain against both. There is no file if no teacher arm has ratios."""
    gains = gains_of(results)
    found = [ratios(results, arm, against) for arm, against in gains.index]
    if all(one.empty for one in found):
        return
    table = pd.concat(found)
    logs = table.set_index("arm")[[*NAMES]].transform(np.log)
    means = logs.groupby("arm").mean().transform(np.exp)
    arms = [arm for arm, _ in gains.index]
    colours = {arm: COLOURS[number % len(COLOURS)] for number, arm in enumerate(arms)}

    figure, (axes,) = panels(1, 3, width=4.2, height=3.6)
    _draw_cmi(axes[0], table, means, colours)
    for axis, name in zip(axes[1:], (LENGTH, PER_LENGTH), strict=True):
        _draw_gain(axis, name, means, gains.droplevel("against"), colours)
    entries = [(shortened(arm), axes[1].scatter([], [], color=colours[arm])) for arm in arms]
    add_legend(axes[2], entries, beside=True)
    baseline = " or ".join(dict.fromkeys(gains.index.get_level_values("against")))
    title = f"Length of h, its CMI and the gain: teachers against {baseline} (small: a task, large: their mean)"
    entitle(figure, title)
    save(figure, path)


def gains_of(results: StudyResults) -> pd.DataFrame:
    """The gain of teacher arms over all tasks with its interval, in points, by arm and the arm it is compared with.

    Arms are compared with the baseline's family, if it has one, and otherwise with the baseline.
    """
    evaluate, table = results.params.evaluate, results.tables.over_tasks
    families = [name for name, trials in evaluate.families.teacher.items() if evaluate.baseline in trials]
    pairs = both_ways(table[table["role"] == "teacher"])
    own = pairs[pairs["against"].isin(families or [evaluate.baseline])].drop_duplicates(["arm", "against"])
    return 100 * own.set_index(["arm", "against"])[["difference", "low", "high"]].astype(float)


def ratios(results: StudyResults, arm: str, against: str) -> pd.DataFrame:
    """For each task, the arm's geometric means over seeds, divided by those of the other arm.

    The values are those of the kept epochs, on selection rows, which every study measures. A task is left out if one of
    its values is unknown or 0.

    Returns:
        task, arm, and one column each for the length of h, its CMI, and CMI per squared length.
    """
    chosen, lines = results.chosen("teacher"), []
    for task in results.records:
        logs = _logs(results, task)
        first, second = (logs.loc[chosen.get((task, name), name)] for name in (arm, against))
        lines.append({"task": task, "arm": arm} | np.exp((first - second).mean(skipna=False)).to_dict())
    return pd.DataFrame(lines, columns=["task", "arm", *NAMES]).dropna()


def _logs(results: StudyResults, task: str) -> pd.DataFrame:
    """The logarithms of the figure's measures, by teacher arm and seed."""
    runs = results.tables.runs
    own = runs[(runs["task"] == task) & (runs["role"] == "teacher")]
    table = in_kept_epochs(own, results.records[task].history)
    values = of_split(table, "selection")
    return pd.DataFrame({name: values[name].of_runs for name in NAMES}, index=[table["arm"], table["seed"]])


def _draw_cmi(axis: Axes, table: pd.DataFrame, means: pd.DataFrame, colours: dict[str, str]) -> None:
    """Draw a small point per task, a large one over tasks, and the line on which only the length changes."""
    for arm, rows in table.groupby("arm", sort=False):
        axis.scatter(rows[LENGTH], rows[CMI], s=14, color=colours[str(arm)], alpha=0.5, linewidths=0)
    axis.scatter(means[LENGTH], means[CMI], s=60, c=[colours[str(arm)] for arm in means.index], zorder=3)
    ends = np.array([table[LENGTH].min(), table[LENGTH].max()])
    (line,) = axis.plot(ends, ends**2, color="0.4", linewidth=1, linestyle="--", zorder=0)
    add_legend(axis, [("another length, nothing else", line)], beside=False)
    axis.set_xlabel(f"{NAMES[LENGTH]}, ratio")
    axis.set_ylabel(f"{NAMES[CMI]}, ratio")
    _as_ratios(axis, "x")
    _as_ratios(axis, "y")


def _draw_gain(axis: Axes, name: str, means: pd.DataFrame, gains: pd.DataFrame, colours: dict[str, str]) -> None:
    """Draw a point per arm, with its interval over tasks if it has one."""
    own = gains.loc[means.index]
    shown = [colours[str(arm)] for arm in means.index]
    axis.vlines(means[name], own["low"], own["high"], colors=shown, linewidth=2)
    axis.scatter(means[name], own["difference"], s=40, c=shown, zorder=3)
    axis.axhline(0, color="0.6", linewidth=1)
    axis.set_xlabel(f"{NAMES[name]}, ratio")
    axis.set_ylabel("gain over all tasks (points)")
    _as_ratios(axis, "x")


def _as_ratios(axis: Axes, which: str) -> None:
    """Make an axis logarithmic, with plain numbers and a line at 1, which always shows."""
    axis.update_datalim([(1, 1)], updatex=which == "x", updatey=which == "y")
    set_scale, line = (axis.set_xscale, axis.axvline) if which == "x" else (axis.set_yscale, axis.axhline)
    set_scale("log")
    line(1, color="0.6", linewidth=1, zorder=0)
    own = axis.xaxis if which == "x" else axis.yaxis
    low, high = own.get_view_interval()
    steps = (1, 2, 5) if high / low > FEW_NUMBERS_ABOVE else range(1, 10)
    own.set_major_locator(LogLocator(subs=steps))
    for set_format in (own.set_major_formatter, own.set_minor_formatter):
        set_format(FuncFormatter(lambda value, _: f"{value:g}"))
    own.set_minor_locator(NullLocator() if high / low > CLOSE else MaxNLocator(4))
    axis.tick_params(which="both", labelsize=8)
    axis.grid(which="major", alpha=0.3)
