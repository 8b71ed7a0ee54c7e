"""Intervals and p-values for the mean of a seeds x rows table, and for the mean over tasks.

Seeds and test rows are both samples, and they cross: every seed's model is asked every row. A cell of the table is

    value = mean + seed effect + row effect + what belongs to this seed and row alone,

three random effects whose variances an analysis of variance estimates. Their mean squares say how far the table's mean
may be from the truth, and Student's t with Satterthwaite's degrees of freedom how far that estimate can be trusted.
Drawing seeds and rows anew together, as one bootstrap, would count the last effect three times (Owen 2007, "The
pigeonhole bootstrap"). docs/coverage.md shows how often these intervals hold the truth in simulated studies.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

POWER = 0.8
FEWEST_SEEDS = 5  # with fewer, the spread over seeds is a guess: see docs/statistics.md
# Standard errors no farther apart than this share are equal: where one run alone differs between two arms, two of the
# mean squares are, and rounding alone would tell which degrees of freedom the interval has.
EQUAL_ERRORS = 1e-9
NO_ERROR = 1e-12  # a standard error below, or a mean without one, is of rounding: scores and nats are of about 1


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error, and the degrees of freedom of that; both None where they are unknown."""

    mean: float
    standard_error: float | None = None
    freedom: float | None = None

    def interval(self, confidence: float) -> tuple[float | None, float | None]:
        """Lower and upper end of Student's interval."""
        if self.standard_error is None:
            return None, None
        half = float(student_t.ppf((1 + confidence) / 2, self.freedom)) * self.standard_error
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float | None:
        """The two-sided p-value of a mean of 0, of the same t as the interval."""
        if self.standard_error is None:
            return None
        if self.standard_error == 0:
            return float(abs(self.mean) < NO_ERROR)
        return float(2 * student_t.sf(abs(self.mean) / self.standard_error, self.freedom))

    def smallest_visible(self, confidence: float) -> float | None:
        """The least mean that an interval of so much confidence would tell from 0 in 80 % of studies like this one."""
        if self.standard_error is None:
            return None
        quantiles = student_t.ppf([(1 + confidence) / 2, POWER], self.freedom)
        return float(quantiles.sum()) * self.standard_error

    def __neg__(self) -> "Estimate":
        return Estimate(-self.mean, self.standard_error, self.freedom)


@dataclass(frozen=True)
class RunValues:
    """A metric of all R runs of a task, and all that intervals need to know of its values per row.

    `of_runs` (R,). `of_rows` (R, N), the values per row; or in their place `products` (R, R) over N `rows`: for two
    runs the sum over rows of the product of their values there, each less its run's mean. A measure that is known per
    run only has neither. Without `has_error` no spread says how far a mean may be off. Where rows share texts, clusters
    stand in their place (`src.study.statistics.clusters`), and `rows` is the effective number of these.

    Runs of cross-validation, whose seeds test other rows and learn from overlapping ones, have `test_ratios` (R,): each
    run's test rows over the rows that it learns from.
    """

    of_runs: np.ndarray
    of_rows: np.ndarray | None = None
    products: np.ndarray | None = None
    rows: float = 0
    has_error: bool = True
    test_ratios: np.ndarray | None = None

    def of_seeds(self, runs: list[int], against: list[int] | None = None) -> np.ndarray:
        """The values (S,) of some runs, one a seed, or their differences from others of the same seeds."""
        own = self.of_runs[runs]
        return own if against is None else own - self.of_runs[against]

    def estimate(self, runs: list[int], against: list[int] | None = None) -> Estimate:
        """The mean over some runs, one a seed, or that of their differences from others, with its error."""
        values = self.of_seeds(runs, against)
        if not self.has_error:
            return Estimate(float(values.mean()))
        if self.test_ratios is not None:
            sides = [self.test_ratios[side] for side in (runs, against) if side is not None]
            return mean_over_folds(values, max(float(ratios.mean()) for ratios in sides))
        if self.of_rows is not None:
            # Differences come before products: those of products cancel where two arms are nearly the same.
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
    """The products (S, S) of `RunValues` for values (S, N); unlike those of BLAS the same on any threads."""
    deviations = table - table.mean(axis=1, keepdims=True)
    return np.einsum("ri,si->rs", deviations, deviations)


def mean_over_seeds_and_rows(
    means: np.ndarray, products: np.ndarray, rows: float, fewest: int = FEWEST_SEEDS
) -> Estimate:
    """The mean of a table (S, N) with crossed random effects; without an error below `fewest` seeds.

    The variance is the largest of three estimates: from both effects and their interaction, from the seeds alone, and
    from the rows alone. If the estimated variance of one effect is negative, it counts as 0: the mean square of the
    other effect is used alone. Of equal estimates the first counts.

    Args:
        means: (S,) of the table's lines, one a seed.
        products: (S, S) as `products_of` gives them.
        rows: N, or of clusters their effective number.
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
    """The mean of one value per fold (J,), of one round of cross-validation or several.

    Folds learn from overlapping rows, so their values are correlated. The corrected resampled t of Nadeau & Bengio
    (Machine Learning 52, 2003) takes the correlation as n_test / (n_test + n_train): the variance is
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
    """The mean of independent estimates, for just these tasks; without an error where one of them has none."""
    mean = float(np.mean([estimate.mean for estimate in estimates]))
    if any(estimate.standard_error is None for estimate in estimates):
        return Estimate(mean)
    terms = (np.array([estimate.standard_error for estimate in estimates]) / len(estimates)) ** 2
    return _summed(mean, terms, np.array([estimate.freedom for estimate in estimates]))


def _summed(mean: float, terms: np.ndarray, freedom: np.ndarray) -> Estimate:
    """A variance that is a sum of independent terms, with Satterthwaite's degrees of freedom."""
    variance, spread = float(terms.sum()), float((terms**2 / freedom).sum())
    if variance < NO_ERROR**2:
        return Estimate(mean, 0.0, float(freedom.min()))
    return Estimate(mean, variance**0.5, variance**2 / spread)
