"""Contrasts: several differences of arms in one, such as a pooled effect or an interaction, judged like claims.

Each side of a contrast becomes an arm of its own, with a run for each seed. Its value in a row is the sum or mean of
its arms' values. The two sides are then compared like any two arms, paired by seed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from src.params import Claim, Contrast
from src.study.claims.claims import judged
from src.study.claims.tables import ComparedTask, comparisons_table
from src.study.statistics.intervals import RunValues


def judged_contrast(
    name: str, contrast: Contrast, compared: Mapping[str, ComparedTask], confidence: float
) -> dict[str, Any]:
    """A contrast with its verdict, like a claim from `judged`. The key `contrast` has its pairs and how they combine.

    Args:
        compared: the study's tasks by name.
    """
    claim = claim_of(contrast)
    sides = {task: of_two_sides(own, contrast, claim) for task, own in compared.items()}
    table = comparisons_table(sides.values(), [(claim.role, claim.family, claim.against)], confidence)
    own = contrast.model_dump(include={"combine", "pairs"})
    return {"name": name, "contrast": own} | judged(name, claim, table, sides, confidence)


def claim_of(contrast: Contrast) -> Claim:
    """The claim that one side of a contrast differs from the other."""
    how = "mean of " if contrast.combine == "mean" else ""
    family, against = (f"{how}({' + '.join(arms)})" for arms in contrast.sides)
    own = contrast.model_dump(include={"statement", "role", "direction", "metric", "worthwhile"})
    return Claim(family=family, against=against, **own)


def of_two_sides(task: ComparedTask, contrast: Contrast, claim: Claim) -> ComparedTask:
    """A task whose arms are the two sides of a contrast."""
    sides = [[task.lines[contrast.role, arm] for arm in arms] for arms in contrast.sides]
    share = 1 / len(contrast.pairs) if contrast.combine == "mean" else 1.0
    metrics = {name: added(values, sides, share) for name, values in task.measured.metrics.items()}
    seeds = len(sides[0][0])
    lines = {(claim.role, claim.family): [*range(seeds)], (claim.role, claim.against): [*range(seeds, 2 * seeds)]}
    return ComparedTask(replace(task.measured, metrics=metrics, of_one_label=frozenset()), lines)


def added(values: RunValues, sides: list[list[list[int]]], share: float) -> RunValues:
    """The values of each side's runs: S of the first side, then S of the second.

    Args:
        sides: for each side, the runs of each of its arms, seeds in order (S,).
        share: the factor for each arm's values.
    """

    def of_sides(table: np.ndarray) -> np.ndarray:
        return np.concatenate([share * np.sum([table[runs] for runs in arms], axis=0) for arms in sides])

    of_runs = of_sides(values.of_runs)
    if (ratios := values.test_ratios) is not None:
        own = np.concatenate([np.max([ratios[runs] for runs in arms], axis=0) for arms in sides])
        return replace(values, of_runs=of_runs, test_ratios=own)
    if values.of_rows is not None:
        return replace(values, of_runs=of_runs, of_rows=of_sides(values.of_rows))
    if (products := values.products) is None:
        return replace(values, of_runs=of_runs)
    blocks = [
        [np.sum([products[np.ix_(one, other)] for one in arms for other in others], axis=0) for others in sides]
        for arms in sides
    ]
    return replace(values, of_runs=of_runs, products=share**2 * np.block(blocks))
