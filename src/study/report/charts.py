"""The report's charts as Vega-Lite specifications, with tooltips for marks, and menus for task and metric.

Views and datasets have fixed names, so that equal results give equal bytes.
"""

from typing import Any

import altair as alt
import pandas as pd

from src.study.drawing.scales import scale_of
from src.study.records.task_records import TaskRecords, measured_spaces

alt.data_transformers.disable_max_rows()

Spec = dict[str, Any]
DIGITS = 5  # significant digits; more make no visible difference in a chart
CMI = {"selection_class_cmi": "CMI, class space (nats)", "selection_feature_cmi": "CMI, feature space (nats)"}
HEIGHT, LINE = 320, 22  # pixels, of a chart and of a line of names
# If all values are equal, Vega rounds the label of the only tick to a whole number. Such a label is replaced.
LABEL = "toNumber(replace(datum.label, '\u2212', '-'))"  # Vega writes a minus sign, and reads a hyphen
TRUE_LABELS = f"{LABEL} == datum.value ? datum.label : format(datum.value, '.6~g')"
NUMBERS = alt.Axis(labelExpr=TRUE_LABELS)
FEW_TICKS = alt.Axis(tickCount=5, labelExpr=TRUE_LABELS)  # their labels fit on a phone
MOST_COLOURS = 10  # of the smaller palette
NAMES_OF_LINES = alt.Axis(labelLimit=160)  # pixels; this fits on a phone
APART = 0.5  # the share of an epoch's or arm's space that its marks use


def claim_chart(claim: dict[str, Any], name: str) -> Spec:
    """The difference of a claim or contrast on each task and over tasks, with intervals and a line at 0."""
    keys = ["difference", "low", "high", "p", "p_holm"]
    over = {key: claim.get(key) for key in keys} | {"task": "mean over tasks"}
    rows = pd.DataFrame([*claim["tasks"], *([over] if len(claim["tasks"]) > 1 else [])]).reindex(
        columns=["task", *keys]
    )
    scale = scale_of(claim["metric"])
    rows[keys[:3]] = rows[keys[:3]].astype(float) * scale.factor
    base = _chart(_short(rows)).encode(y=alt.Y("task:N", sort=None, title=None, axis=NAMES_OF_LINES))
    tooltip = [alt.Tooltip(f"{key}:{'N' if key == 'task' else 'Q'}") for key in rows.columns]
    points = base.mark_point(filled=True, size=70).encode(
        x=alt.X("difference:Q", title=f"difference ({scale.unit or claim['metric']})", axis=FEW_TICKS), tooltip=tooltip
    )
    zero = _chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 3], color="grey").encode(x="zero:Q")
    return _spec(alt.layer(zero, *_intervals(base, rows), points), name, LINE * (1 + len(rows)))


def scores_chart(runs: pd.DataFrame, arms: pd.DataFrame, primary: str, name: str) -> Spec:
    """Every metric per arm: a ring per seed, a dot for their mean, a line for its interval.

    Args:
        runs, arms: the study's tables.
        primary: the metric that the chart shows first.
    """
    metrics = [metric for metric in arms["metric"].unique() if metric in runs]
    seeds = runs.melt(["task", "role", "arm", "seed"], metrics, "metric", "value").dropna(subset="value")
    params, shown = _menus({"task": arms["task"].unique().tolist(), "metric": metrics}, {"metric": primary})
    y = alt.Y("label:N", sort=None, title=None, axis=NAMES_OF_LINES, scale=alt.Scale(paddingInner=1 - APART))
    means = _chart(_labelled(arms.drop(columns=["std", "n"]))).transform_filter(shown).encode(y=y)
    tooltip = ["task:N", "role:N", "arm:N", "metric:N"]
    rings = _chart(_labelled(seeds)).transform_filter(shown).mark_point(size=60, opacity=0.7)
    x = alt.X("value:Q", scale=alt.Scale(zero=False), axis=FEW_TICKS)
    rings = rings.encode(y=y, yOffset=alt.YOffset("seed:O"), x=x, tooltip=[*tooltip, "seed:N", "value:Q"])
    dots = means.mark_point(filled=True, size=80, color="black")
    dots = dots.encode(x=alt.X("mean:Q", title="on test"), tooltip=[*tooltip, "mean:Q", "low:Q", "high:Q"])
    lines = len(arms[["role", "arm"]].drop_duplicates())
    return _spec(alt.layer(*_intervals(means, arms), rings, dots).add_params(*params), name, LINE * (1 + lines))


def cmi_chart(runs: pd.DataFrame, primary: dict[str, str], name: str) -> Spec:
    """Each task's primary metric against CMI on test. Marks of runs are open, so that marks below them stay visible."""
    keys = ["task", "role", "arm", "seed"]
    spaces = {f"{space}_cmi": space for space in measured_spaces(runs)}
    scores = pd.concat([own.assign(score=own[primary[str(task)]]) for task, own in runs.groupby("task", sort=False)])
    rows = scores.rename(columns=spaces).melt([*keys, "score"], list(spaces.values()), "space", "CMI")
    params, shown = _menus({"task": list(primary), "space": list(spaces.values())})
    chart = _chart(_labelled(rows)).transform_filter(shown).mark_point(size=70, opacity=0.8)
    axis: dict[str, Any] = {"scale": alt.Scale(zero=False), "axis": FEW_TICKS}
    chart = chart.encode(
        x=alt.X("CMI:Q", title="CMI (nats)", **axis),
        y=alt.Y("score:Q", title="first metric", **axis),
        color=_colour(rows),
        shape=alt.Shape("role:N", title=None, legend=alt.Legend(orient="bottom")),
        tooltip=["role:N", "arm:N", "seed:N", "CMI:Q", "score:Q"],
    )
    return _spec(chart.add_params(*params), name, HEIGHT)


def epochs_chart(records: list[TaskRecords], name: str) -> Spec:
    """Measures on selection after each epoch, means over seeds. Arms are side by side, so that equal ones show."""
    rows = pd.concat([_epochs(one) for one in records])
    menus = {"task": rows["task"].unique().tolist(), "measure": rows["measure"].unique().tolist()}
    params, shown = _menus(menus | {"role": rows["role"].unique().tolist()})
    chart = _chart(_labelled(rows)).transform_filter(shown).mark_line(point=True)
    chart = chart.encode(
        x=alt.X("epoch:O", axis=alt.Axis(labelAngle=0, labelOverlap=True), scale=alt.Scale(paddingInner=1 - APART)),
        xOffset=alt.XOffset("arm:N", sort=None),
        y=alt.Y("value:Q", title="on selection", scale=alt.Scale(zero=False), axis=NUMBERS),
        color=_colour(rows),
        tooltip=["arm:N", "epoch:O", "value:Q"],
    )
    return _spec(chart.add_params(*params), name, HEIGHT)


def _epochs(records: TaskRecords) -> pd.DataFrame:
    keys, names = ["role", "arm", "epoch"], {f"selection_{records.primary}": "first metric"} | CMI
    means = records.history.rename(columns=names).groupby(keys, sort=False)[[*names.values()]].mean()
    return means.reset_index().melt(keys, [*names.values()], "measure", "value").assign(task=records.task["task"])


def _intervals(base: Any, rows: pd.DataFrame) -> list[Any]:
    """A layer with a line from low to high; no layer if no row has an interval."""
    lines = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    return [lines] if rows["low"].notna().any() else []


def _menus(choices: dict[str, list[str]], first: dict[str, str] | None = None) -> tuple[list[alt.Parameter], str]:
    """A menu per column, and the filter for the rows that the menus choose."""
    params = [
        alt.param(
            name=f"{key}_menu",
            bind=alt.binding_select(options=options, name=f"{key} "),
            value=(first or {}).get(key, options[0]),
        )
        for key, options in choices.items()
    ]
    return params, " && ".join(f"datum.{key} == {key}_menu" for key in choices)


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with role and arm in one column, and with short numbers."""
    return _short(rows.assign(label=rows["role"] + " " + rows["arm"]))


def _short(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with numbers of `DIGITS` significant digits. Fixed decimals would make small CMI equal."""
    numbers = {name: [float(f"{value:.{DIGITS}g}") for value in rows[name]] for name in rows.select_dtypes("float")}
    return rows.assign(**numbers)


def _colour(rows: pd.DataFrame) -> alt.Color:
    scheme = "tableau10" if rows["arm"].nunique() <= MOST_COLOURS else "tableau20"
    legend = alt.Legend(orient="bottom", columns=2, labelLimit=150, symbolLimit=0)
    return alt.Color("arm:N", sort=None, title=None, scale=alt.Scale(scheme=scheme), legend=legend)


def _chart(rows: pd.DataFrame) -> Any:
    """A chart of some rows. Its type is Any, because no type checker can follow the methods that altair wraps."""
    return alt.Chart(rows)


def _spec(chart: Any, name: str, height: int) -> Spec:
    """The specification of a chart as wide as its place."""
    return chart.properties(width="container", height=height, name=name).configure_view(stroke=None).to_dict()
