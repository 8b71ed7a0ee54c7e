"""The figures of each task of a study, as PNG.

Equal results give equal bytes, so that DVC and git see no change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import softmax

from src.core.metrics import confusion_matrix, reliability
from src.study.drawing.panels import (
    COLOURS,
    add_legend,
    arms_of_table,
    by_arm,
    colours_of_arms,
    entitle,
    grid,
    panels,
    save,
    shortened,
)
from src.study.records.task_records import TaskRecords, measured_spaces
from src.study.statistics.digits import settled

NAMES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "auc": "AUC",
    "selection_class_cmi": "CMI, class space (nats)",
    "selection_feature_cmi": "CMI, feature space (nats)",
}
MOST_NAMED = len(COLOURS)  # figures show more labels than this together
CLUSTER_POINTS = 300
SCORES_OF_FOLDS = "test scores, mean and folds; intervals over folds from five on"
BETWEEN_SEEDS, BETWEEN_ARMS = 0.25, 0.03  # shares of the distance between two lines, and between two epochs
WIDEST = 0.5


@dataclass(frozen=True)
class TaskResults:
    """The results of one task: its records, and its lines in the study's tables of arms and runs."""

    records: TaskRecords
    arms: pd.DataFrame
    runs: pd.DataFrame
    ece_bins: int


def draw_task(results: TaskResults, folder: Path) -> None:
    """Draw every figure of one task into `folder` as <task>-<figure>.png."""
    task = results.records.task["task"]
    for name in figure_names(results.records):
        title, draw = FIGURES[name]
        if name == "scores" and results.records.folds > 1:
            title = SCORES_OF_FOLDS
        figure = draw(results)
        entitle(figure, f"{task}: {title}")
        save(figure, folder / f"{task}-{name}.png")


def figure_names(records: TaskRecords) -> list[str]:
    """The names of a task's figures. Clusters of features need saved features."""
    return [name for name in FIGURES if name != "clusters_feature" or len(records.projection)]


def draw_scores(arms: pd.DataFrame, runs: pd.DataFrame, primary: str) -> Figure:
    """Primary metric, NLL and, with raters, KL to the human distribution: a line per arm, a ring per seed.

    Rings of an arm are below each other, so that seeds with equal scores stay visible.
    """
    names = {primary: NAMES[primary], "nll": "NLL (nats)", "kl_to_human": "KL(human || model) (nats)"}
    metrics = [name for name in names if name in set(arms["metric"])]
    labels = arms_of_table(arms)
    colour_of = colours_of_arms(arms)
    colours = [colour_of[label] for label in labels]
    figure, axes = panels(1, len(metrics), width=4.2, height=0.8 + 0.38 * len(labels))
    for axis, metric in zip(axes.flat, metrics, strict=True):
        rows = arms[arms["metric"] == metric].set_index(["role", "arm"]).loc[labels]
        heights = np.arange(len(rows))[::-1]
        axis.hlines(heights, rows["low"], rows["high"], colors=colours, linewidth=2)
        axis.scatter(rows["mean"], heights, c=colours, zorder=3)
        for height, (role, arm) in zip(heights, labels, strict=True):
            seeds = runs.loc[(runs["role"] == role) & (runs["arm"] == arm), metric]
            below = height - spread(len(seeds), BETWEEN_SEEDS)
            axis.scatter(seeds, below, s=50, facecolors="none", edgecolors=colour_of[role, arm])
        axis.set_yticks(heights, [f"{role} {shortened(arm)}" for role, arm in labels])
        axis.set_xlabel(names[metric])
        axis.grid(axis="x", alpha=0.3)
        axis.label_outer()
    return figure


def spread(count: int, step: float) -> np.ndarray:
    """Offsets (count,) around 0 that are `step` apart, or closer if they would take more than `WIDEST`."""
    return min(step, WIDEST / max(count, 1)) * (np.arange(count) - (count - 1) / 2)


def draw_epochs(records: TaskRecords) -> Figure:
    """Selection score and CMI in both spaces per epoch, a column each. Teachers are above students."""
    columns = [f"selection_{records.primary}", "selection_class_cmi", "selection_feature_cmi"]
    roles, colours = list(dict.fromkeys(records.history["role"])), colours_of_arms(records.runs)
    figure, axes = panels(len(roles), len(columns), width=4, height=2.7)
    for row, role in zip(axes, roles, strict=True):
        history = records.history[records.history["role"] == role]
        for axis, column in zip(row, columns, strict=True):
            lines, arms = [], history.groupby("arm", sort=False)
            for (arm, runs), aside in zip(arms, spread(len(arms), BETWEEN_ARMS), strict=True):
                over, colour = runs.groupby("epoch")[column].agg(["mean", "min", "max"]), colours[role, arm]
                at = over.index + aside
                [line] = axis.plot(at, over["mean"], marker="o", markersize=3, color=colour)
                lines.append((shortened(arm), line))
                axis.fill_between(at, over["min"], over["max"], color=colour, alpha=0.15, linewidth=0)
                if len(over) == 1:  # an area over one epoch has no width
                    axis.vlines(at, over["min"], over["max"], color=colour, linewidth=1)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axis.set_xlabel("epoch")
            axis.set_ylabel(NAMES.get(column, f"{NAMES[records.primary]} ({role}s)"))
            axis.grid(alpha=0.3)
        add_legend(row[0] if len(lines) <= 4 else row[-1], lines, beside=len(lines) > 4)
    return figure


def draw_cmi_and_score(runs: pd.DataFrame, primary: str) -> Figure:
    """The primary metric against CMI in each measured space. Circles are teachers, triangles are students."""
    colours, spaces = colours_of_arms(runs), measured_spaces(runs)
    figure, axes = panels(1, len(spaces), width=4.6, height=max(3.6, 0.18 * len(colours)))
    for axis, space in zip(axes.flat, spaces, strict=True):
        shown = []
        for (role, arm), points in by_arm(runs).items():
            style = {"marker": "o" if role == "teacher" else "^", "edgecolors": colours[role, arm]}
            dots = axis.scatter(points[f"{space}_cmi"], points[primary], facecolors="none", **style)
            shown.append((f"{role} {shortened(arm)}", dots))
        axis.set_xlabel(f"CMI on test, {space} space (nats)")
        axis.set_ylabel(f"{NAMES[primary]} on test")
        axis.grid(alpha=0.3)
        axis.label_outer()
    add_legend(axes.flat[-1], shown, beside=True)
    return figure


def draw_class_clusters(records: TaskRecords) -> Figure:
    """Histograms of the true class's probability, a row per class and a column per arm. Many classes share a row."""
    arms, colours, bins = records.pooled_logits("test"), colours_of_arms(records.runs), np.linspace(0, 1, 21)
    names, classes = records.label_names, np.arange(len(records.label_names))
    groups = dict(zip(names, classes, strict=True)) if len(names) <= MOST_NAMED else {f"{len(names)} labels": classes}
    figure, axes = panels(len(groups), len(arms), width=2, height=1.8, sharex=True, sharey=True)
    for column, ((role, arm), (truth, logits)) in zip(axes.T, arms.items(), strict=True):
        probability = settled(softmax(logits.astype(float), axis=1)[np.arange(len(truth)), truth])
        for axis, (name, members) in zip(column, groups.items(), strict=True):
            if (own := np.isin(truth, members)).any():
                axis.hist(probability[own], bins, density=True, color=colours[role, arm])
            axis.set_ylabel(shortened(name))
            axis.set_xlabel("p(true class)")
            axis.label_outer()
        column[0].set_title(f"{role}\n{shortened(arm)}", fontsize=8)
    return figure


def draw_feature_clusters(records: TaskRecords) -> Figure:
    """Features of test rows in two dimensions, a panel per arm, a colour per class. Rare classes of many share one."""
    arms, groups = arms_of_table(records.projection), _frequent_labels(records)
    colours = COLOURS if len(records.label_names) <= MOST_NAMED else ["lightgrey", *COLOURS]
    figure, axes = grid(len(arms), width=2.6, height=2.5)
    for axis, (role, arm) in zip(axes, arms, strict=False):
        points, shown = records.projection.query("role == @role and arm == @arm").head(CLUSTER_POINTS), []
        for (name, members), colour in zip(groups.items(), colours, strict=False):
            own = points[points["label"].isin(members)]
            shown.append((shortened(name), axis.scatter(own["first"], own["second"], s=7, alpha=0.6, color=colour)))
        axis.set_title(f"{role} {shortened(arm)}", fontsize=9)
        axis.tick_params(labelsize=7)
    beside = len(groups) > 4
    add_legend(axes[min(4, len(arms)) - 1 if beside else 0], shown, beside, fontsize=7)
    return figure


def draw_reliability(records: TaskRecords, bins: int) -> Figure:
    """Accuracy per confidence bin against the bin's confidence; the diagonal is perfect calibration."""
    arms, colours = records.pooled_logits("test"), colours_of_arms(records.runs)
    figure, axes = grid(len(arms), width=2.4, height=2.4)
    for axis, ((role, arm), (truth, logits)) in zip(axes, arms.items(), strict=False):
        table = reliability(truth, logits, bins)
        seen = table["count"] > 0
        sizes = 4 + 160 * table["count"][seen] / table["count"].sum()
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axis.scatter(table["confidence"][seen], table["accuracy"][seen], s=sizes, color=colours[role, arm])
        axis.set(title=f"{role} {shortened(arm)}", xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
        axis.title.set_fontsize(9)
    return figure


def draw_confusion(records: TaskRecords) -> Figure:
    """Row-normalised confusion matrices, a panel per arm. With many classes, colours stress rare confusions."""
    arms, names = records.pooled_logits("test"), [shortened(name) for name in records.label_names]
    many, longest = len(names) > MOST_NAMED, max(map(len, names))
    upright = len(names) * longest > 28  # names would overlap below the panel
    side = 3.5 if many else 2.3 + 0.3 * max(0, len(names) - 4) + upright * 0.07 * longest
    figure, axes = grid(len(arms), width=side, height=side)
    for axis, ((role, arm), (truth, logits)) in zip(axes, arms.items(), strict=False):
        counts = confusion_matrix(truth, logits.argmax(axis=1), len(names))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axis.imshow(shares, cmap="Blues", norm=PowerNorm(0.4 if many else 1, vmin=0, vmax=1))
        axis.set_title(f"{role} {shortened(arm)}", fontsize=9)
        axis.set(xlabel="prediction", ylabel="label")
        if not many:
            _name_cells(axis, shares, names, upright)
    if many:
        figure.colorbar(image, ax=axes[: len(arms)], label="share of the label's rows; labels by number")
    return figure


def _name_cells(axis: Axes, shares: np.ndarray, names: list[str], upright: bool) -> None:
    """Write each share into its cell, and the names beside the panel."""
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        axis.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axis.set_xticks(range(len(names)), names, fontsize=7, rotation=90 if upright else 0)
    axis.set_yticks(range(len(names)), names, fontsize=7, rotation=0 if upright else 90, va="center")


def _frequent_labels(records: TaskRecords) -> dict[str, list[int]]:
    """The numbers of the labels by name. Of many labels, those with few test rows form one group."""
    names = records.label_names
    if len(names) <= MOST_NAMED:
        return {name: [number] for number, name in enumerate(names)}
    frequent = records.projection["label"].value_counts().index[: MOST_NAMED - 1].tolist()
    others = [number for number in range(len(names)) if number not in frequent]
    return {f"{len(others)} others": others} | {names[number]: [number] for number in frequent}


FIGURES: dict[str, tuple[str, Callable[[TaskResults], Figure]]] = {
    "scores": (
        "test scores, mean and seeds; intervals over seeds and examples from five seeds on",
        lambda of: draw_scores(of.arms, of.runs, of.records.primary),
    ),
    "epochs": ("selection score and CMI per epoch, mean and range over seeds", lambda of: draw_epochs(of.records)),
    "cmi_and_score": (
        "CMI against score on test, one point a run",
        lambda of: draw_cmi_and_score(of.runs, of.records.primary),
    ),
    "clusters_class": (
        "probability of the true class on test, all seeds",
        lambda of: draw_class_clusters(of.records),
    ),
    "clusters_feature": (
        "test features in their two main directions, first seed",
        lambda of: draw_feature_clusters(of.records),
    ),
    "reliability": (
        "accuracy against confidence on test, all seeds",
        lambda of: draw_reliability(of.records, of.ece_bins),
    ),
    "confusion": ("shares of each label's predictions on test, all seeds", lambda of: draw_confusion(of.records)),
}
