"""The coverage of intervals in simulated studies without an effect: `make intervals` prints the tables.

A row is right with logit 1 + its difficulty + a seed effect. The seed effects of the two paired arms share half of
their variance. A spread of 0.15 is about 2.5 points of accuracy, and 0.4 is about 7. Difficulties have a spread of 1
and are equal in both arms. In the second table each arm has a further spread of its own, so that it is better in some
rows and worse in others. The true difference of the arms is 0.
"""

import argparse
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit

from src.params import Claim
from src.study.claims.claims import judged
from src.study.claims.pairs import ArmPair
from src.study.claims.tables import ComparedTask, compared_task, comparisons_table
from src.study.claims.verdicts import VERDICTS
from src.study.records.scores import MeasuredTask
from src.study.statistics.clusters import clustered
from src.study.statistics.intervals import Estimate, RunValues, mean_over_seeds_and_rows, products_of
from src.study.statistics.row_values import PredictedRows, run_values, statistics_of
from src.system.printing import markdown_head, markdown_row

METRICS = ["accuracy", "f1", "matthews", "nll"]
ONE_ARM = "accuracy of one arm"
ROWS, SPREADS = (71, 300, 1000, 5000), (0.0, 0.15, 0.4)
EFFECTS = (0.0, 0.05, 0.1, 0.2, 0.4)
FEWEST = 2  # seeds; studies report no interval for so few, and the table shows why
EXACT_WIDTH = 3.92  # in standard errors, of a 95 % interval with a known variance


@dataclass(frozen=True)
class Setting:
    """The size of a study, and the spreads of its effects in the logit.

    `spread` is for effects of seeds, `row_spread` for effects of rows in one arm only. Rows are in clusters of
    `cluster_sizes`, in turn, and rows of a cluster share the latter effect. A share `failures` of the second arm's runs
    predicts one label.
    """

    rows: int
    seeds: int
    spread: float
    row_spread: float = 0.0
    margin: float = 1.0
    cluster_sizes: tuple[int, ...] = (1,)
    failures: float = 0.0

    @property
    def clusters(self) -> np.ndarray:
        """The cluster (N,) of each row."""
        return np.repeat(np.arange(self.rows), np.resize(self.cluster_sizes, self.rows))[: self.rows]

    @property
    def accuracy(self) -> float:
        """The true accuracy of the first arm: the mean of the logistic function of a normal logit."""
        places, weights = np.polynomial.hermite_e.hermegauss(60)
        deviation = (1 + self.spread**2 + self.row_spread**2) ** 0.5
        return float(expit(self.margin + deviation * places) @ weights / weights.sum())


def simulated_arms(setting: Setting, generator: np.random.Generator, effect: float = 0.0) -> list[list[PredictedRows]]:
    """The test predictions of two arms, a run per seed; `effect` is added to the logits of the second arm's rows."""
    rows, seeds = setting.rows, setting.seeds
    difficulty, labels = generator.normal(size=rows), generator.integers(2, size=rows)
    shared = generator.normal(size=seeds)
    arms = []
    for gain in (0.0, effect):
        of_seed = setting.spread * np.sqrt(0.5) * (shared + generator.normal(size=seeds))
        of_row = difficulty + setting.row_spread * generator.normal(size=rows)[setting.clusters]
        margins = setting.margin + gain + of_seed[:, None] + of_row + generator.logistic(size=(seeds, rows))
        arms.append([_predicted(labels, margin) for margin in margins])
    if setting.failures:
        arms[1] = [_failed(run) if generator.random() < setting.failures else run for run in arms[1]]
    return arms


def _predicted(labels: np.ndarray, margins: np.ndarray) -> PredictedRows:
    """Predictions of two classes, with the logit of the true class ahead by the margin."""
    logits = np.stack([margins / 2, -margins / 2], axis=1)
    return PredictedRows(labels, np.where(labels[:, None] == 0, logits, logits[:, ::-1]), None)


def _failed(run: PredictedRows) -> PredictedRows:
    """The run with the first label predicted for every row."""
    return replace(run, logits=np.tile([1.0, 0.0], (len(run.labels), 1)))


def estimates(setting: Setting, generator: np.random.Generator, effect: float = 0.0) -> dict[str, Estimate]:
    """The difference of two simulated arms in each metric, second minus first; and the accuracy of the first."""
    statistics = statistics_of(METRICS[:-1], has_humans=False, ece_bins=15)
    arms = simulated_arms(setting, generator, effect)
    tables = {name: [np.stack([statistics[name](run).known_rows() for run in arm]) for arm in arms] for name in METRICS}
    found = {name: estimate_of(second - first) for name, (first, second) in tables.items()}
    return found | {ONE_ARM: estimate_of(tables["accuracy"][0])}


def estimate_of(table: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """The mean of a table (S, N), or of its clusters, with an error from two seeds on."""
    values, rows = (table, table.shape[1]) if clusters is None else clustered(table, clusters)
    return mean_over_seeds_and_rows(table.mean(axis=1), products_of(values), rows, FEWEST)


def verdicts(setting: Setting, tasks: int, effect: float, studies: int) -> pd.Series:
    """The share of simulated studies of several tasks in which a claim gets each verdict. `worthwhile` is 0.01."""
    generator = np.random.default_rng([0, tasks, round(100 * effect)])
    claim = Claim(statement="simulated", role="teacher", family="b", against="a", direction="higher", worthwhile=0.01)
    names = [f"task {number}" for number in range(tasks)]
    simulated = (_compared(names, setting, generator, effect) for _ in range(studies))
    pairs: list[ArmPair] = [("teacher", "b", "a")]
    found = [
        judged("simulated", claim, comparisons_table(study.values(), pairs, 0.95), study, 0.95)["verdict"]
        for study in simulated
    ]
    return pd.Series(found).value_counts(normalize=True).reindex(VERDICTS, fill_value=0.0)


def _compared(
    tasks: Iterable[str], setting: Setting, generator: np.random.Generator, effect: float
) -> dict[str, ComparedTask]:
    """The tasks of a study with the accuracy of two arms, by name, as `evaluate` would measure them."""
    accuracy = statistics_of(["accuracy"], has_humans=False, ece_bins=15)["accuracy"]
    found = {}
    for task in tasks:
        runs = [run for arm in simulated_arms(setting, generator, effect) for run in arm]
        found[task] = task_of_teachers(task, "ab", setting.seeds, run_values([accuracy(run) for run in runs]))
    return found


def task_of_teachers(name: str, arms: Iterable[str], seeds: int, accuracy: RunValues) -> ComparedTask:
    """A task with the accuracy of teachers. The values list all seeds of one arm after the other."""
    lines = [("teacher", arm, seed) for arm in arms for seed in range(seeds)]
    runs = pd.DataFrame(lines, columns=["role", "arm", "seed"])
    return compared_task(MeasuredTask(name, "accuracy", runs, {"accuracy": accuracy}), {})


def coverage(setting: Setting, replicates: int, seed: int = 0) -> pd.DataFrame:
    """How often 95 % intervals contain the true value, and their mean width as a multiple of an exact interval.

    Returns:
        metric, coverage and width, for the difference in each metric and for the accuracy of one arm.
    """
    generator = np.random.default_rng([seed, setting.rows, setting.seeds, round(100 * setting.spread)])
    found = [estimates(setting, generator) for _ in range(replicates)]
    truths = dict.fromkeys(METRICS, 0.0) | {ONE_ARM: setting.accuracy}
    return pd.DataFrame([summary(name, truth, [one[name] for one in found]) for name, truth in truths.items()])


def summary(name: str, truth: float, found: list[Estimate]) -> dict[str, str | float]:
    """A line of `coverage`."""
    low, high = np.array([estimate.interval(0.95) for estimate in found]).T
    needed = EXACT_WIDTH * np.sqrt(np.mean([(estimate.mean - truth) ** 2 for estimate in found]))
    held = np.mean((low <= truth) & (truth <= high))
    return {"metric": name, "coverage": float(held), "width": float(np.mean(high - low) / needed)}


def print_table(columns: list[str], tables: Iterable[tuple[tuple[float | str, ...], pd.DataFrame]]) -> None:
    """Print coverage and width in Markdown, each line as soon as it is computed.

    Args:
        columns: the names of all columns.
        tables: for each line, the size that it begins with and a table from `coverage`.
    """
    print(markdown_head(columns), flush=True)
    for size, table in tables:
        cells = (f"{held:.3f}, {width:.2f}" for held, width in zip(table["coverage"], table["width"], strict=True))
        print(markdown_row([*size, *cells]), flush=True)


def print_coverage(seeds: tuple[int, ...], row_spread: float, replicates: int) -> None:
    """Print a table of docs/coverage.md."""
    sizes = itertools.product(ROWS, seeds, SPREADS)
    tables = ((size, coverage(Setting(*size, row_spread), replicates)) for size in sizes)
    print_table(["rows", "seeds", "spread", *METRICS, ONE_ARM], tables)


def print_verdicts(studies: int) -> None:
    """Print the table of docs/protocol.md: eight tasks of 300 rows and five seeds."""
    print(markdown_head(["effect, in the logit", "points of accuracy", *VERDICTS]))
    setting = Setting(300, 5, 0.15)
    for effect in EFFECTS:
        gain = Setting(300, 5, 0.15, margin=1 + effect).accuracy - setting.accuracy
        shares = (f"{share:.3f}" for share in verdicts(setting, 8, effect, studies))
        print(markdown_row([effect, f"{100 * gain:.1f}", *shares]), flush=True)


def main() -> None:
    """Print the tables of docs/coverage.md and docs/protocol.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000, help="simulated studies of each size")
    replicates = parser.parse_args().replicates
    print_coverage((2, 3, 4, 5, 10), 0.0, replicates)
    print("\nThe same with difficulties that differ between the arms by a spread of 1:\n")
    print_coverage((5, 10), 1.0, replicates)
    print("\nVerdicts on a claim:\n")
    print_verdicts(replicates)


if __name__ == "__main__":
    main()
