"""Intervals over seeds and rows: closed forms, and simulated arms."""

import numpy as np
import pytest
from scipy.stats import t as student_t
from scipy.stats import ttest_1samp

from src.study.simulations.simulation import Setting, estimates, simulated_arms
from src.study.statistics.intervals import Estimate, RunValues, mean_over_seeds, mean_over_tasks, products_of
from src.study.statistics.row_values import statistics_of


def table(seeds: int, rows: int, of_seeds: float = 0.0, of_rows: float = 0.0, rest: float = 0.0) -> np.ndarray:
    """Crossed effects whose sample variances (not expected ones) are the squares of the three numbers."""
    generator = np.random.default_rng(0)

    def effects(size: int, spread: float) -> np.ndarray:
        drawn = generator.normal(size=size)
        return spread * (drawn - drawn.mean()) / drawn.std(ddof=1)

    noise = generator.normal(size=(seeds, rows))
    noise += noise.mean() - noise.mean(axis=0) - noise.mean(axis=1, keepdims=True)
    noise *= rest / np.sqrt((noise**2).sum() / (seeds - 1) / (rows - 1))
    return 3 + effects(seeds, of_seeds)[:, None] + effects(rows, of_rows) + noise


def over_seeds_and_rows(values: np.ndarray) -> Estimate:
    """The mean of a table (S, N) through all that is kept of it."""
    kept = RunValues(values.mean(axis=1), products=products_of(values), rows=values.shape[1])
    return kept.estimate(list(range(len(values))))


def test_where_only_seeds_differ_it_is_the_t_interval_over_seeds():
    found = over_seeds_and_rows(table(6, 40, of_seeds=2.0))
    assert found.mean == pytest.approx(3)
    assert found.standard_error == pytest.approx(2 / 6**0.5)
    assert found.freedom == pytest.approx(5)
    half = 2.5706 * 2 / 6**0.5  # Student's t at 97.5 % with 5 degrees of freedom
    assert found.interval(0.95) == pytest.approx((3 - half, 3 + half), abs=1e-3)


def test_where_only_rows_differ_it_is_the_t_interval_over_rows():
    found = over_seeds_and_rows(table(6, 40, of_rows=2.0))
    assert found.standard_error == pytest.approx(2 / 40**0.5)
    assert found.freedom == pytest.approx(39)


def test_crossed_variances_add_and_what_belongs_to_neither_counts_once():
    """The mean squares are 40 * 4 + 1 and 6 * 9 + 1 and 1: their sum less 2 is (160 + 54 + 1) / 240."""
    squares = np.array([40 * 2.0**2, 6 * 3.0**2, 1.0])
    found = over_seeds_and_rows(table(6, 40, of_seeds=2.0, of_rows=3.0, rest=1.0))
    assert found.standard_error**2 == pytest.approx((squares[0] + squares[1] - squares[2]) / 240)
    assert found.freedom == pytest.approx((160 + 54 - 1) ** 2 / (160**2 / 5 + 54**2 / 39 + 1 / 195))


def test_a_negative_component_shrinks_nothing():
    """Seeds that agree better than chance would have a negative variance: the rows' own mean square stays."""
    rest_alone = table(6, 40, rest=1.0)
    found = over_seeds_and_rows(rest_alone + table(6, 40, of_rows=1.0) - 3)
    assert found.standard_error**2 == pytest.approx(1 / 40)


def test_paired_runs_give_the_interval_of_their_differences():
    """The runs' products hold those of any differences, so no value of a row has to be kept."""
    first, second = table(6, 40, 2.0, 3.0, 1.0), table(6, 40, 1.0, 2.0, 2.0)[::-1] + 0.5
    values = np.concatenate([first, second])
    kept = RunValues(values.mean(axis=1), products=products_of(values), rows=40)
    found, expected = kept.estimate([0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]), over_seeds_and_rows(first - second)
    assert (found.mean, found.standard_error, found.freedom) == pytest.approx(
        (expected.mean, expected.standard_error, expected.freedom)
    )
    assert found.mean == pytest.approx(-0.5)


def test_a_run_differs_from_itself_by_nothing():
    values = table(6, 40, 2.0, 3.0, 1.0)
    found = RunValues(values.mean(axis=1), products=products_of(values), rows=40).estimate([*range(6)], [*range(6)])
    assert (found.mean, found.standard_error, found.p) == (0.0, 0.0, 1.0)


def test_the_smallest_visible_effect_is_seen_four_times_in_five():
    """With a known error it is 1.96 + 0.84 standard errors; with 4 degrees of freedom 2.776 + 0.941."""
    assert Estimate(0.0, 1.0, 1e9).smallest_visible(0.95) == pytest.approx(2.8016, abs=1e-3)
    assert Estimate(0.0, 2.0, 4.0).smallest_visible(0.95) == pytest.approx(2 * (2.7764 + 0.9410), abs=1e-3)
    assert Estimate(0.0).smallest_visible(0.95) is None


def test_the_p_value_is_of_the_same_t_as_the_interval():
    found = Estimate(2.0, 1.0, 7.0)
    assert found.p == pytest.approx(2 * student_t.sf(2.0, 7))
    low, high = found.interval(1 - found.p)
    assert low == pytest.approx(0, abs=1e-9)
    assert high == pytest.approx(4)
    assert Estimate(0.0, 0.0, 4.0).p == 1.0
    assert Estimate(0.1, 0.0, 4.0).p == 0.0


def test_one_value_a_seed_gives_the_one_sample_t_test():
    values = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    found, expected = mean_over_seeds(values), ttest_1samp(values, 0)
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert found.interval(0.95) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_few_seeds_give_no_interval(seeds):
    for found in (over_seeds_and_rows(np.ones((seeds, 9))), mean_over_seeds(np.ones(seeds))):
        assert found == Estimate(1.0, None, None)
        assert found.interval(0.95) == (None, None)
        assert found.p is None


def test_over_tasks_independent_errors_add():
    """Two tasks with errors 3 and 4: the error of their mean is 5 / 2."""
    found = mean_over_tasks([Estimate(1.0, 3.0, 4.0), Estimate(2.0, 4.0, 9.0)])
    assert found.mean == 1.5
    assert found.standard_error == pytest.approx(2.5)
    assert found.freedom == pytest.approx(25**2 / (81 / 4 + 256 / 9))
    assert mean_over_tasks([Estimate(1.0, 3.0, 4.0), Estimate(2.0)]) == Estimate(1.5)


def test_where_rows_differ_between_arms_seeds_alone_would_not_do():
    """The rows' mean square is far above the rest then, and an interval over seeds alone is too narrow."""
    arms = simulated_arms(Setting(300, 5, 0.0, 1.0), np.random.default_rng(0))
    accuracy = statistics_of(["accuracy"], False, 15)["accuracy"]
    first, second = (np.stack([accuracy(run).of_rows for run in arm]) for arm in arms)
    of_rows = (second - first).mean(axis=0)
    expected = of_rows.std(ddof=1) / 300**0.5
    assert over_seeds_and_rows(second - first).standard_error == pytest.approx(expected, rel=0.3)
    assert mean_over_seeds((second - first).mean(axis=1)).standard_error < 0.8 * expected


def test_the_accuracy_of_a_simulated_arm_is_what_is_counted():
    setting = Setting(200_000, 1, 0.0, 1.0)
    [run], _ = simulated_arms(setting, np.random.default_rng(0))
    counted = (run.logits.argmax(axis=1) == run.labels).mean()
    assert counted == pytest.approx(setting.accuracy, abs=0.004)


def test_an_effect_is_seen():
    """A gain of 0.5 of the logit, some 8 points of accuracy, on 1,000 rows and 5 seeds."""
    found = estimates(Setting(1000, 5, 0.15), np.random.default_rng(0), effect=0.5)
    assert 0.05 < found["accuracy"].mean < 0.12
    assert found["accuracy"].p < 0.01
    assert found["nll"].interval(0.95)[1] < 0
