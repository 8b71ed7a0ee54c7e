"""How often the intervals hold the truth, in simulated studies without an effect: `make intervals` writes the table.

A row is right with logit 1 + its difficulty + a seed effect; the seed effects of the two arms, which are paired, share
half of their variance. The true difference of the arms is 0. A spread of the seed effects of 0.15 is about 2.5 points
of accuracy, 0.4 about 7.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.study.intervals import Estimate, mean_over_seeds_and_rows
from src.study.statistics import PredictedRows, statistics_of

METRICS = ["accuracy", "f1", "matthews", "nll"]
ROWS, SEEDS, SPREADS = (71, 300, 1000, 5000), (2, 3, 4, 5, 10), (0.0, 0.15, 0.4)
FEWEST = 2  # also those that a study does not report: the table shows why
EXACT_WIDTH = 3.92  # standard errors: that of a 95 % interval from a variance that is known


@dataclass(frozen=True)
class Setting:
    """The size of a study, and the spread of its seed effects in units of the logit."""

    rows: int
    seeds: int
    spread: float


def simulated_arms(setting: Setting, generator: np.random.Generator, effect: float = 0.0) -> list[list[PredictedRows]]:
    """The test predictions of two arms, a run per seed; `effect` is added to the logits of the second arm's rows."""
    difficulty, labels = generator.normal(size=setting.rows), generator.integers(2, size=setting.rows)
    shared = generator.normal(size=setting.seeds)
    arms = []
    for gain in (0.0, effect):
        own = generator.normal(size=setting.seeds)
        of_seed = gain + setting.spread * np.sqrt(0.5) * (shared + own)
        margins = 1 + difficulty + of_seed[:, None] + generator.logistic(size=(setting.seeds, setting.rows))
        arms.append([_predicted(labels, margin) for margin in margins])
    return arms


def _predicted(labels: np.ndarray, margins: np.ndarray) -> PredictedRows:
    """Two classes, of which the true one leads by the margin."""
    logits = np.stack([margins / 2, -margins / 2], axis=1)
    return PredictedRows(labels, np.where(labels[:, None] == 0, logits, logits[:, ::-1]), None)


def differences(setting: Setting, generator: np.random.Generator, effect: float = 0.0) -> dict[str, Estimate]:
    """The estimated difference of two simulated arms, second minus first, in each metric."""
    first, second = simulated_arms(setting, generator, effect)
    statistics = statistics_of(METRICS[:-1], has_humans=False, ece_bins=15)
    found = {}
    for name in METRICS:
        pairs = zip(first, second, strict=True)
        table = np.stack([statistics[name](b).of_rows - statistics[name](a).of_rows for a, b in pairs])
        found[name] = mean_over_seeds_and_rows(table, FEWEST)
    return found


def coverage(setting: Setting, replicates: int, seed: int = 0) -> pd.DataFrame:
    """Per metric the share of 95 % intervals that hold the true difference, 0, and their mean width.

    Returns:
        metric, rows, seeds, spread, coverage, and width, as a multiple of the width that an exact interval needs.
    """
    generator = np.random.default_rng([seed, setting.rows, setting.seeds, round(100 * setting.spread)])
    found = [differences(setting, generator) for _ in range(replicates)]
    return pd.DataFrame([vars(setting) | _summary(name, [one[name] for one in found]) for name in METRICS])


def _summary(name: str, estimates: list[Estimate]) -> dict[str, str | float]:
    low, high = np.array([estimate.interval(0.95) for estimate in estimates]).T
    needed = EXACT_WIDTH * np.sqrt(np.mean([estimate.mean**2 for estimate in estimates]))
    held = np.mean((low <= 0) & (high >= 0))
    return {"metric": name, "coverage": float(held), "width": float(np.mean(high - low) / needed)}


def settings() -> Iterator[Setting]:
    """Every size of a study that the table has."""
    yield from itertools.starmap(Setting, itertools.product(ROWS, SEEDS, SPREADS))


def main() -> None:
    """Print the table for docs/statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=400, help="simulated studies of each size")
    replicates = parser.parse_args().replicates
    print(f"95 % intervals, {replicates} simulated studies of each size: coverage, and mean width / width needed\n")
    print("| rows | seeds | spread | " + " | ".join(METRICS) + " |\n|" + "---|" * (3 + len(METRICS)))
    for setting in settings():
        table = coverage(setting, replicates)
        cells = [f"{row.coverage:.3f}, {row.width:.2f}" for row in table.itertuples()]
        print(f"| {setting.rows} | {setting.seeds} | {setting.spread} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
