"""Intervals and p-values for the mean of a seeds x rows table, and for the mean over tasks.

Seeds and test rows are both samples, and they cross: the model of every seed predicts every row. A cell of the table is

    value = mean + seed effect + row effect + interaction of this seed and this row.

An analysis of variance estimates the variances of the three random effects. Their mean squares give the standard error
of the table's mean. Student's t with Satterthwaite's degrees of freedom allows for the error of that estimate. A
bootstrap that draws seeds and rows together would count the interaction three times (Owen 2007, "The pigeonhole
bootstrap"). docs/coverage.md shows how often these intervals contain the true value in simulated studies.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

POWER = 0.8
FEWEST_SEEDS = 5  # with fewer, the spread over seeds is a guess: see docs/statistics.md
# Standard errors within this relative distance count as equal. If only one run differs between two arms, two mean
# squares are equal, and rounding errors would choose the degrees of freedom.
EQUAL_ERRORS = 1e-9
NO_ERROR = 1e-12  # a smaller standard error or mean is a rounding error: scores and nats are near 1


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error and the degrees of freedom of that error. The last two are None if unknown."""

    mean: float
    standard_error: float | None = None
    freedom: float | None = None

    def interval(self, confidence: float) -> tuple[float | None, float | None]:
        """The lower and upper end of Student's interval; None without a standard error."""
        if self.standard_error is None:
            return None, None
        half = float(student_t.ppf((1 + confidence) / 2, self.freedom)) * self.standard_error
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float | None:
        """The two-sided p-value for a true mean of 0, from the same t as the interval; None without an error."""
        if self.standard_error is None:
            return None
        if self.standard_error == 0:
            return float(abs(self.mean) < NO_ERROR)
        return float(2 * student_t.sf(abs(self.mean) / self.standard_error, self.freedom))

    def smallest_visible(self, confidence: float) -> float | None:
        """The smallest true mean whose interval would exclude 0 in 80 % of studies like this one."""
        if self.standard_error is None:
            return None
        quantiles = student_t.ppf([(1 + confidence) / 2, POWER], self.freedom)
        return float(quantiles.sum()) * self.standard_error


@dataclass(frozen=True)
class RunValues:
    """A metric of all R runs of a task, with the values per row that intervals need.

    `of_runs` has shape (R,) and `of_rows` (R, N). `products` (R, R) over N `rows` can replace `of_rows`. Its entry for
    two runs is the sum over rows of the product of their deviations from each run's mean. A measure without values per
    row has neither. If `has_error` is false, the metric has no standard error. If rows share texts, clusters replace
    rows (`src.study.statistics.clusters`), and `rows` is their effective number.

    In cross-validation, seeds test different rows and learn from overlapping ones. Such runs have `test_ratios` (R,):
    each run's test rows over the rows that it learns from.
    """

    of_runs: np.ndarray
    of_rows: np.ndarray | None = None
    products: np.ndarray | None = None
    rows: float = 0
    has_error: bool = True
    test_ratios: np.ndarray | None = None

    def of_seeds(self, runs: list[int], against: list[int] | None = None) -> np.ndarray:
        """The values (S,) of some runs, one per seed, or their differences from other runs of the same seeds."""
        own = self.of_runs[runs]
        return own if against is None else own - self.of_runs[against]

    def estimate(self, runs: list[int], against: list[int] | None = None) -> Estimate:
        """The mean of the values that `of_seeds` gives, with its standard error."""
        values = self.of_seeds(runs, against)
        if not self.has_error:
            return Estimate(float(values.mean()))
        if self.test_ratios is not None:
            sides = [self.test_ratios[side] for side in (runs, against) if side is not None]
            return mean_over_folds(values, max(float(ratios.mean()) for ratios in sides))
        if self.of_rows is not None:
            # Differences come before products: differences of products lose digits if two arms are nearly equal.
            table = self.of_rows[runs] if against is None else self.of_rows[runs] - self.of_rows[against]
            return mean_over_seeds_and_rows(values, products_of(table), self.rows or table.shape[1])
        if self.products is None:
            return mean_over_seeds(values)
        products = self.products[np.ix_(runs, runs)]
        if against is not None:
            mixed = self.products[np.ix_(runs, against)]
            products = products - mixed - mixed.T + self.products[np.ix_(against, against)]
        return mean_over_seeds_and_rows(values, products, self.rows)


def products_of(table: np.ndarray) -> np.ndarray:
    """The `products` (S, S) of `RunValues` for values (S, N). Unlike BLAS products, they do not depend on threads."""
    deviations = table - table.mean(axis=1, keepdims=True)
    return np.einsum("ri,si->rs", deviations, deviations)


def mean_over_seeds_and_rows(
    means: np.ndarray, products: np.ndarray, rows: float, fewest: int = FEWEST_SEEDS
) -> Estimate:
    """The mean of a table (S, N) with crossed random effects. It has no error with fewer than `fewest` seeds.

    The variance is the largest of three estimates: from both effects and their interaction, from the seeds alone, and
    from the rows alone. If the estimated variance of one effect is negative, it counts as 0: the mean square of the
    other effect is used alone. The first of equal estimates counts.

    Args:
        means: (S,), the mean of each seed.
        products: (S, S), from `products_of`.
        rows: N, or the effective number of clusters.
    """
    seeds, mean = len(means), float(means.mean())
    if seeds < fewest or rows < 2:
        return Estimate(mean)
    of_rows = products.sum() / seeds
    squares = np.array([rows * ((means - mean) ** 2).sum(), of_rows, np.trace(products) - of_rows])
    freedom = np.array([seeds - 1, rows - 1, (seeds - 1) * (rows - 1)])
    terms = squares / freedom / (seeds * rows) * [1, 1, -1]
    candidates = [slice(0, 3), slice(0, 1), slice(1, 2)]
    found = [_summed(mean, terms[part], freedom[part]) for part in candidates]
    errors = np.array([one.standard_error for one in found])
    return found[int(np.argmax(errors >= (1 - EQUAL_ERRORS) * errors.max()))]


def mean_over_seeds(values: np.ndarray) -> Estimate:
    """The mean of one value per seed (n,), for measures without rows: Student's t with n - 1 degrees of freedom."""
    mean = float(values.mean())
    if len(values) < FEWEST_SEEDS:
        return Estimate(mean)
    return _summed(mean, values.var(ddof=1, keepdims=True) / len(values), np.array([len(values) - 1]))


def mean_over_folds(values: np.ndarray, test_ratio: float) -> Estimate:
    """The mean of one value per fold (J,), over one or more rounds of cross-validation.

    Folds learn from overlapping rows, so their values are correlated. The corrected resampled t of Nadeau & Bengio
    (Machine Learning 52, 2003) takes the correlation as n_test / (n_test + n_train). The variance is then
    (1/J + n_test/n_train) S^2. Bouckaert & Frank (2004) use it for repeated cross-validation.

    Args:
        test_ratio: n_test / n_train.
    """
    mean, count = float(values.mean()), len(values)
    if count < FEWEST_SEEDS:
        return Estimate(mean)
    variance = (1 / count + test_ratio) * values.var(ddof=1, keepdims=True)
    return _summed(mean, variance, np.array([count - 1]))


def mean_over_tasks(estimates: list[Estimate]) -> Estimate:
    """The mean of independent estimates for these tasks. It has no error if one of them has none."""
    mean = float(np.mean([estimate.mean for estimate in estimates]))
    if any(estimate.standard_error is None for estimate in estimates):
        return Estimate(mean)
    terms = (np.array([estimate.standard_error for estimate in estimates]) / len(estimates)) ** 2
    return _summed(mean, terms, np.array([estimate.freedom for estimate in estimates]))


def _summed(mean: float, terms: np.ndarray, freedom: np.ndarray) -> Estimate:
    """An estimate whose variance is a sum of independent terms, with Satterthwaite's degrees of freedom."""
    variance, spread = float(terms.sum()), float((terms**2 / freedom).sum())
    if variance < NO_ERROR**2:
        return Estimate(mean, 0.0, float(freedom.min()))
    return Estimate(mean, variance**0.5, variance**2 / spread)
