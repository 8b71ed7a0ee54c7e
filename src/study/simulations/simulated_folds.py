"""The coverage of intervals over folds, in simulated cross-validations: `make intervals` prints the table.

Two arms learn a linear rule from the same rows of two Gaussian classes, by least squares with two penalties. The rules
are really fitted, so that folds with shared train rows are as similar as such rules are. The second arm reads all
features, or only the feature that fits the train labels best. This feature depends on the data set, and most folds of a
data set choose the same one. Noise in the weights stands for the changes that come from the seed alone.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.study.simulations.simulation import print_table, summary
from src.study.statistics.intervals import Estimate, mean_over_folds, mean_over_seeds

MEANS = np.linspace(0.0, 0.4, 20)  # of one class in each feature; the other class has the negative means
PENALTIES = (0.01, 1.0)  # factors of the squared weights; the rows' mean squared error is about 1
NOISE = 0.3  # the spread added to the weights, in units of their root mean square
FOLDS, ROUNDS, ROWS, CHOICES = 5, (1, 2, 10), (200, 500, 1000), ("all", "one")
T, CORRECTED = "t over folds", "corrected"


@dataclass(frozen=True)
class CrossValidation:
    """The rows of a data set, the rounds of five folds, and the features that the second arm reads: all or one."""

    rows: int
    rounds: int
    features: str


def coverage(setting: CrossValidation, replicates: int, seed: int = 0) -> pd.DataFrame:
    """How often 95 % intervals contain the true difference, and their mean width as a multiple of an exact interval.

    The true difference is the mean over all data sets of this size, estimated by the simulated ones.

    Returns:
        metric (the kind of the interval), coverage and width.
    """
    generator = np.random.default_rng([seed, setting.rows, setting.rounds, CHOICES.index(setting.features)])
    studies = [differences(setting, generator) for _ in range(replicates)]
    found: dict[str, list[Estimate]] = {
        T: [mean_over_seeds(values) for values in studies],
        CORRECTED: [mean_over_folds(values, 1 / (FOLDS - 1)) for values in studies],
    }
    truth = float(np.mean(studies))
    return pd.DataFrame([summary(name, truth, estimates) for name, estimates in found.items()])


def differences(setting: CrossValidation, generator: np.random.Generator) -> np.ndarray:
    """The difference of the two arms in accuracy on each fold (J,), second minus first, round after round."""
    labels = generator.choice([-1.0, 1.0], setting.rows)
    features = generator.normal(size=(setting.rows, len(MEANS))) + MEANS * labels[:, None]
    folds = np.arange(setting.rows) % FOLDS
    found = []
    for _ in range(setting.rounds):
        order = generator.permutation(setting.rows)
        for fold in range(FOLDS):
            train, test = order[folds != fold], order[folds == fold]
            rules = _rules(features[train], labels[train], setting.features, generator)
            right = [((features[test] @ rule > 0) == (labels[test] > 0)).mean() for rule in rules]
            found.append(right[1] - right[0])
    return np.array(found)


def _rules(features: np.ndarray, labels: np.ndarray, read: str, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """The weights (D,) of each arm. Features that it does not read have a weight of 0."""
    squares, products = features.T @ features / len(labels), features.T @ labels / len(labels)
    best = np.arange(len(products)) == np.abs(products).argmax()
    for penalty, known in zip(PENALTIES, (True, True if read == "all" else best), strict=True):
        weights = np.linalg.solve(squares + penalty * np.eye(len(products)), products)
        noise = NOISE * np.sqrt((weights**2).mean()) * generator.normal(size=len(products))
        yield (weights + noise) * known


def main() -> None:
    """Print the table of docs/coverage.md on cross-validation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=2000, help="simulated studies of each size")
    replicates = parser.parse_args().replicates
    print("\nFive folds, intervals over folds as if they were independent, and corrected:\n")
    sizes = itertools.product(ROWS, ROUNDS, CHOICES)
    print_table(
        ["rows", "rounds", "features of the second arm", T, CORRECTED],
        ((size, coverage(CrossValidation(*size), replicates)) for size in sizes),
    )


if __name__ == "__main__":
    main()
