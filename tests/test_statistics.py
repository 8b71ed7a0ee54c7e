"""Scores against scikit-learn, and the bootstrap and the tests against known values."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from scipy.stats import binom, permutation_test
from sklearn import metrics as sklearn_metrics

from src.arms import pairs_to_compare
from src.core.cmi import measure
from src.core.metrics import CONFUSION_SCORES, confusion_matrix, reliability, task_scores
from src.errors import UserError
from src.params import Params
from src.study.statistics import PredictedRows, best_temperature, bootstrap, holm, interval, sign_flip_p, statistics_of
from src.study.summary import wins_table

SKLEARN = {
    "accuracy": sklearn_metrics.accuracy_score,
    "f1": lambda labels, predictions: sklearn_metrics.f1_score(labels, predictions, average=None)[1],
    "macro_f1": lambda labels, predictions: sklearn_metrics.f1_score(labels, predictions, average="macro"),
    "matthews": sklearn_metrics.matthews_corrcoef,
}


def rows(seed: int = 0, count: int = 80, classes: int = 3) -> PredictedRows:
    generator = np.random.default_rng(seed)
    human = generator.dirichlet(np.ones(classes), count)
    human[: count // 4] = np.eye(classes)[generator.integers(classes, size=count // 4)]
    logits = 2 * generator.standard_normal((count, classes))
    labels = np.where(generator.random(count) < 0.6, logits.argmax(axis=1), generator.integers(classes, size=count))
    return PredictedRows(labels, logits, human)


def every_statistic(classes: int = 3):
    return statistics_of(list(CONFUSION_SCORES), classes, has_humans=True, ece_bins=15)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", SKLEARN)
def test_task_scores_are_those_of_scikit_learn(name, classes):
    data = rows(classes=classes)
    expected = SKLEARN[name](data.labels, data.logits.argmax(axis=1))
    assert task_scores([name], data.labels, data.logits)[name] == pytest.approx(expected, abs=1e-12)
    assert every_statistic(classes)[name].of(data) == pytest.approx(expected, abs=1e-12)


def test_scores_of_constant_predictions_are_defined():
    confusion = confusion_matrix(np.array([0, 1, 0]), np.array([0, 0, 0]), 2)
    assert CONFUSION_SCORES["matthews"](confusion) == 0
    assert CONFUSION_SCORES["f1"](confusion) == 0


def test_probabilistic_scores_are_those_of_their_definitions():
    data = rows()
    p = softmax(data.logits, axis=1)
    found = {name: statistic.of(data) for name, statistic in every_statistic().items()}
    assert found["nll"] == pytest.approx(sklearn_metrics.log_loss(data.labels, p, labels=range(3)), rel=1e-9)
    assert found["brier"] == pytest.approx(((p - np.eye(3)[data.labels]) ** 2).sum(axis=1).mean())
    terms = np.where(data.human > 0, data.human * np.log(np.maximum(data.human, 1e-300) / p), 0)
    assert found["kl_to_human"] == pytest.approx(terms.sum(axis=1).mean())


def test_ece_is_the_gap_between_confidence_and_accuracy():
    """Four rows at confidence 0.9 of which three are right, one at 0.6 that is right: (4 * 0.15 + 0.4) / 5 = 0.2."""
    p = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    data = PredictedRows(np.array([0, 0, 0, 1, 0]), np.log(p), None)
    ece = statistics_of(["accuracy"], 2, has_humans=False, ece_bins=15)["ece"]
    assert ece.of(data) == pytest.approx(0.2)
    table = reliability(data.labels, data.logits, 15)
    assert table["count"].tolist() == [0] * 8 + [1] + [0] * 4 + [4, 0]
    assert table["accuracy"][13] == pytest.approx(0.75)


def test_information_of_moments_is_that_of_the_torch_core():
    data = rows(1)
    exact = measure(torch.from_numpy(data.logits), torch.from_numpy(data.labels), 3)
    found = every_statistic()
    for name in ("cmi", "gamma", "ncmi"):
        assert found[f"class_{name}"].of(data) == pytest.approx(getattr(exact, name), rel=1e-9)


def test_bootstrap_resamples_rows_alike_for_every_run_and_statistic():
    """A resample's value is that of the resampled rows themselves, and equal runs stay equal."""
    data, statistics = rows(2, count=30), every_statistic()
    values = bootstrap(statistics, [data, data, rows(3, count=30)], samples=60)
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=50)
    drawn = np.repeat(np.arange(30), weights[0])
    resampled = PredictedRows(data.labels[drawn], data.logits[drawn], data.human[drawn])
    for name, statistic in statistics.items():
        assert values[name].shape == (60, 3)
        assert values[name][0, 0] == pytest.approx(statistic.of(resampled), rel=1e-9)
        assert np.array_equal(values[name][:, 0], values[name][:, 1])


def test_interval_has_the_width_of_the_binomial():
    """Accuracy 0.8 on 400 rows: a 95 % interval of 0.8 +- 1.96 * 0.02."""
    labels = np.zeros(400, dtype=int)
    logits = np.tile([1.0, 0.0], (400, 1))
    logits[:80] = [0.0, 1.0]
    values = bootstrap(statistics_of(["accuracy"], 2, False, 15), [PredictedRows(labels, logits, None)], samples=4000)
    low, high = interval(values["accuracy"], 0.95)
    assert (low, high) == pytest.approx((0.8 - 0.0392, 0.8 + 0.0392), abs=0.004)


def test_interval_widens_with_the_spread_over_seeds():
    fixed = np.tile([0.70, 0.90], (2000, 1))
    assert interval(fixed, 0.95) == (0.70, 0.90)


@pytest.mark.parametrize(("seeds", "smallest"), [(2, 0.5), (5, 0.0625), (10, 2 / 2**10)])
def test_sign_flip_reaches_no_further_than_the_number_of_seeds_allows(seeds, smallest):
    assert sign_flip_p(np.linspace(1, 2, seeds)) == pytest.approx(smallest)


def test_sign_flip_of_one_seed_says_nothing():
    assert sign_flip_p(np.array([3.0])) == 1.0


def all_flips_p(differences: np.ndarray) -> float:
    """The sign-flip test of scipy, which forms all 2^n means."""
    return permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue


@pytest.mark.parametrize("seeds", range(2, 15))
def test_sign_flip_is_that_of_scipy(seeds):
    generator = np.random.default_rng(seeds)
    values = generator.normal(0.3, size=seeds)
    cases = [values, -values, 1e-9 * values, np.append(values[1:], 0.0), np.zeros(seeds), np.full(seeds, 0.1)]
    cases += [generator.integers(-3, 4, seeds).astype(float), np.repeat(values, 2)[:seeds], -np.arange(1.0, seeds + 1)]
    assert [sign_flip_p(case) for case in cases] == [all_flips_p(case) for case in cases]


@pytest.mark.parametrize("rows", [60, 277, 1000, 40_430])
def test_sign_flip_sees_equal_sums_through_the_rounding_of_accuracies(rows):
    generator = np.random.default_rng(rows)
    for _ in range(50):
        right, more = generator.integers(rows - 9, size=8), generator.integers(-9, 10, size=8)
        assert sign_flip_p((right + more) / rows - right / rows) == all_flips_p(more.astype(float))


@pytest.mark.parametrize(("seeds", "tolerance"), [(20, 0), (24, 0), (32, 0), (33, 0.01), (200, 0.01)])
def test_sign_flip_of_many_seeds(seeds, tolerance):
    """With differences of one size the number of positive ones is binomial. All flips of 24 would take a minute."""
    wins = seeds // 2 + round(np.sqrt(seeds))
    differences = np.repeat([0.1, -0.1], [wins, seeds - wins])
    assert sign_flip_p(differences) == pytest.approx(2 * binom.sf(wins - 1, seeds, 0.5), abs=tolerance, rel=1e-12)


def test_holm_multiplies_by_the_hypotheses_left_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]


def test_the_best_temperature_undoes_a_scaling():
    """Models whose logits are those of the raters, three times too large, are nearest at T = 3 and then exact."""
    human = np.random.default_rng(0).dirichlet(np.ones(3), 50) * 0.97 + 0.01
    data = PredictedRows(human.argmax(axis=1), 3 * np.log(human), human)
    assert best_temperature(data) == pytest.approx(3, rel=1e-3)
    tempered = every_statistic()["kl_to_human_tempered"]
    assert tempered.of(replace(data, best_temperature=3.0)) == pytest.approx(0, abs=1e-9)
    assert tempered.of(data) == pytest.approx(every_statistic()["kl_to_human"].of(data))


def test_six_wins_of_eight_have_probability_0_145():
    differences = [0.1] * 6 + [-0.1] * 2
    rows = [
        {"task": f"t{number}", "role": "teacher", "arm": "a", "against": "b", "metric": "accuracy", "difference": value}
        for number, value in enumerate(differences)
    ]
    wins = wins_table(pd.DataFrame(rows), {row["task"]: "accuracy" for row in rows}).iloc[0]
    assert (wins["wins"], wins["ties"], wins["tasks"]) == (6, 0, 8)
    assert wins["p"] == pytest.approx(0.145, abs=5e-4)


def test_arms_are_compared_with_their_controls(params):
    found = pairs_to_compare(params)
    assert ("teacher", "cmi_min", "ce") in found
    assert ("student", "kd-cmi_max", "plain") in found
    assert ("student", "kd-cmi_max", "kd-ce") in found
    content = params.model_dump()
    content["distill"]["matched"] = [{"teacher": "ce", "like": "cmi_max"}]
    content["evaluate"]["pairs"] = [{"role": "teacher", "arm": "cmi_min", "against": "cmi_max"}]
    more = set(pairs_to_compare(Params.model_validate(content))) - set(found)
    assert ("student", "kd-cmi_max", "kd-ce_as_cmi_max") in more
    assert ("teacher", "cmi_min", "cmi_max") in more
    content["evaluate"]["pairs"][0]["arm"] = "nosuch"
    with pytest.raises(
        UserError, match=r"evaluate\.pairs: unknown teacher arm 'nosuch'; allowed: ce, cmi_min, cmi_max"
    ):
        pairs_to_compare(Params.model_validate(content))
