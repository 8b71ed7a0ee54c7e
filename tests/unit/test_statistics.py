"""Scores against scikit-learn, their values per row, and the tests over seeds against known values."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from scipy.stats import binom, permutation_test
from sklearn import metrics as sklearn_metrics

from src.core.method.cmi import measure
from src.core.metrics import CLASS_SCORES, CONSTANT_SCORES, ROW_SCORES, class_counts, reliability, task_scores
from src.params import Params
from src.params.types import ClaimMetric, Metric
from src.study.claims.pairs import pairs_to_compare
from src.study.claims.tables import over_tasks_table
from src.study.drawing.figures import NAMES
from src.study.drawing.scales import LOWER_IS_BETTER, NEITHER_IS_BETTER
from src.study.statistics.row_values import PredictedRows, best_temperature, holm, sign_flip_p, statistics_of
from src.system.errors import UserError

SKLEARN = {
    "accuracy": sklearn_metrics.accuracy_score,
    "f1": lambda labels, predictions: sklearn_metrics.f1_score(labels, predictions, average=None)[1],
    "macro_f1": lambda labels, predictions: sklearn_metrics.f1_score(labels, predictions, average="macro"),
    "matthews": sklearn_metrics.matthews_corrcoef,
}


def test_every_metric_has_its_score_and_its_name_in_figures():
    assert set(CLASS_SCORES) == set(SKLEARN)
    assert set(get_args(Metric)) == {*CLASS_SCORES, *ROW_SCORES}
    assert set(ROW_SCORES) == set(CONSTANT_SCORES)
    assert set(get_args(Metric)) < set(NAMES)


def test_every_metric_of_claims_has_its_statistic_and_its_scale():
    """`scale_of` takes any other metric for a score in points, of which higher values are better."""
    of_claims = set(get_args(ClaimMetric))
    of_features = {"feature_cmi"}  # runs measure it
    assert of_claims - of_features <= set(statistics_of([*get_args(Metric)], has_humans=True, ece_bins=15))
    assert of_claims - set(get_args(Metric)) == {*LOWER_IS_BETTER, *NEITHER_IS_BETTER}


def rows(seed: int = 0, count: int = 80, classes: int = 3) -> PredictedRows:
    generator = np.random.default_rng(seed)
    human = generator.dirichlet(np.ones(classes), count)
    human[: count // 4] = np.eye(classes)[generator.integers(classes, size=count // 4)]
    logits = 2 * generator.standard_normal((count, classes))
    labels = np.where(generator.random(count) < 0.6, logits.argmax(axis=1), generator.integers(classes, size=count))
    return PredictedRows(labels, logits, human)


def every_statistic():
    return statistics_of([*CLASS_SCORES, *ROW_SCORES], has_humans=True, ece_bins=15)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", SKLEARN)
def test_task_scores_are_those_of_scikit_learn(name, classes):
    data = rows(classes=classes)
    expected = SKLEARN[name](data.labels, data.logits.argmax(axis=1))
    assert task_scores([name], data.labels, data.logits)[name] == pytest.approx(expected, abs=1e-12)
    assert every_statistic()[name](data).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_auc_is_that_of_scikit_learn_for_two_labels_with_ties_too(classes):
    data = rows(classes=classes)
    logits = data.logits.round(0) if classes == 2 else data.logits
    p = softmax(logits, axis=1)
    scores = p[:, 1] if classes == 2 else p
    expected = sklearn_metrics.roc_auc_score(data.labels, scores, multi_class="ovr")
    assert task_scores(["auc"], data.labels, logits) == {"auc": pytest.approx(expected, abs=1e-12)}


def test_auc_counts_pairs_in_the_right_order():
    """Of the four pairs of a 0 and a 1, two are in order, one is reversed and one is tied: 2.5 / 4."""
    labels, scores = np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 2.0, 3.0])
    assert task_scores(["auc"], labels, np.stack([-scores, scores], axis=1))["auc"] == pytest.approx(0.625)


def test_auc_tells_apart_what_rounds_to_probability_1_and_leaves_out_classes_without_rows():
    labels, margins = np.array([0, 1]), np.array([50.0, 60.0])
    assert task_scores(["auc"], labels, np.stack([-margins, margins, -np.full(2, 1e3)], axis=1))["auc"] == 1
    assert task_scores(["auc"], np.zeros(2, int), np.zeros((2, 2)))["auc"] == 0.5


def test_scores_of_constant_predictions_are_defined():
    counts = class_counts(np.array([0, 1, 0]), np.array([0, 0, 0]), 2)
    assert CLASS_SCORES["matthews"](counts) == 0
    assert CLASS_SCORES["f1"](counts) == 0


def test_probabilistic_scores_are_those_of_their_definitions():
    data = rows()
    p = softmax(data.logits, axis=1)
    found = {name: statistic(data).value for name, statistic in every_statistic().items()}
    assert found["nll"] == pytest.approx(sklearn_metrics.log_loss(data.labels, p, labels=range(3)), rel=1e-9)
    assert found["brier"] == pytest.approx(((p - np.eye(3)[data.labels]) ** 2).sum(axis=1).mean())
    terms = np.where(data.human > 0, data.human * np.log(np.maximum(data.human, 1e-300) / p), 0)
    assert found["kl_to_human"] == pytest.approx(terms.sum(axis=1).mean())


def test_ece_is_the_gap_between_confidence_and_accuracy():
    """Four rows at confidence 0.9 of which three are right, one at 0.6 that is right: (4 * 0.15 + 0.4) / 5 = 0.2."""
    p = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    data = PredictedRows(np.array([0, 0, 0, 1, 0]), np.log(p), None)
    ece = statistics_of(["accuracy"], has_humans=False, ece_bins=15)["ece"]
    assert ece(data).value == pytest.approx(0.2)
    table = reliability(data.labels, data.logits, 15)
    assert table["count"].tolist() == [0] * 8 + [1] + [0] * 4 + [4, 0]
    assert table["accuracy"][13] == pytest.approx(0.75)


def test_class_information_is_that_of_the_torch_core():
    data = rows(1)
    exact = measure(torch.from_numpy(data.logits), torch.from_numpy(data.labels), 3)
    found = every_statistic()
    for name in ("cmi", "gamma", "ncmi"):
        assert found[f"class_{name}"](data).value == pytest.approx(getattr(exact, name), rel=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_row_values_are_what_each_row_adds(classes):
    """Their mean is the statistic; without a row the statistic changes by its influence / N, to first order."""
    data = rows(2, count=400, classes=classes)
    for name, statistic in every_statistic().items():
        whole, values = statistic(data)
        if name == "ece":
            assert values is None
            continue
        assert values.mean() == pytest.approx(whole, abs=1e-9)
        for row in range(5):
            left = np.delete(np.arange(400), row)
            without = statistic(PredictedRows(data.labels[left], data.logits[left], data.human[left])).value
            assert whole - without == pytest.approx((values[row] - whole) / 399, abs=1e-4), name


def test_row_values_of_means_are_the_rows_own():
    data = rows(3)
    found = every_statistic()
    right = (data.logits.argmax(axis=1) == data.labels).astype(float)
    assert found["accuracy"](data).of_rows == pytest.approx(right, abs=1e-9)
    nll = -np.log(softmax(data.logits, axis=1)[np.arange(80), data.labels])
    assert found["nll"](data).of_rows == pytest.approx(nll, abs=1e-9)


def test_row_values_of_constant_predictions_are_defined():
    """Matthews and F1 are 0 there by convention, and no row can change that."""
    data = PredictedRows(np.array([0, 1, 0, 1]), np.tile([1.0, 0.0], (4, 1)), None)
    for name in ("matthews", "f1"):
        assert statistics_of([name], False, 15)[name](data).of_rows.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_no_row_changes_a_matthews_correlation_of_one_predicted_label(seed):
    """Of three labels: rounding made some row values NaN."""
    labels = np.random.default_rng(seed).integers(0, 3, 109)
    data = PredictedRows(labels, np.tile([0.0, 1.0, 0.0], (109, 1)), None)
    assert statistics_of(["matthews"], False, 15)["matthews"](data).of_rows.tolist() == [0.0] * 109


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
    assert tempered(replace(data, best_temperature=3.0)).value == pytest.approx(0, abs=1e-9)
    assert tempered(data).value == pytest.approx(every_statistic()["kl_to_human"](data).value)


def test_six_wins_of_eight_have_probability_0_145():
    differences = [0.1] * 6 + [-0.1] * 2
    rows = [
        {"task": f"t{number}", "role": "teacher", "arm": "a", "against": "b", "metric": "accuracy", "difference": value}
        | {"standard_error": 0.08, "freedom": 10.0}
        for number, value in enumerate(differences)
    ]
    found = over_tasks_table(pd.DataFrame(rows), {row["task"]: "accuracy" for row in rows}, 0.95).iloc[0]
    assert (found["wins"], found["ties"], found["tasks"]) == (6, 0, 8)
    assert found["p_wins"] == pytest.approx(0.145, abs=5e-4)
    half = 1.9901 * 0.08 / 8**0.5  # Student's t with 80 degrees of freedom
    assert (found["difference"], found["low"], found["high"]) == pytest.approx(
        (0.05, 0.05 - half, 0.05 + half), abs=1e-4
    )


def test_over_tasks_there_is_no_error_where_one_task_has_none():
    rows = [
        {"task": task, "role": "teacher", "arm": "a", "against": "b", "metric": "accuracy", "difference": 0.1}
        | {"standard_error": error, "freedom": error and 5.0}
        for task, error in (("one", 0.1), ("other", None))
    ]
    found = over_tasks_table(pd.DataFrame(rows), {"one": "accuracy", "other": "accuracy"}, 0.95).iloc[0]
    assert found["difference"] == pytest.approx(0.1)
    assert found[["low", "high", "p"]].tolist() == [None, None, None]


def test_arms_are_compared_with_their_controls(params):
    found = pairs_to_compare(params)
    assert ("teacher", "cmi_min", "ce") in found
    assert ("student", "kd-cmi_max", "plain") in found
    assert ("student", "kd-cmi_max", "kd-ce") in found
    content = params.model_dump()
    content["distill"]["matched"] = [{"teacher": "ce", "like": "cmi_max"}]
    content["distill"] |= {
        "calibrated": ["cmi_max"],
        "mapped": [{"name": "up", "teacher": "cmi_min", "cmi_weight": -1.0}],
    }
    content["evaluate"]["pairs"] = [{"role": "teacher", "family": "cmi_min", "against": "cmi_max"}]
    more = set(pairs_to_compare(Params.model_validate(content))) - set(found)
    assert ("student", "kd-cmi_max", "kd-ce_as_cmi_max") in more
    assert {("student", "kd-cmi_max_calibrated", "kd-cmi_max"), ("student", "kd-up", "kd-cmi_min")} <= more
    assert ("teacher", "cmi_min", "cmi_max") in more
    content["evaluate"]["pairs"][0]["family"] = "nosuch"
    with pytest.raises(
        UserError, match=r"evaluate\.pairs: unknown teacher arm or family 'nosuch'; allowed: ce, cmi_min, cmi_max"
    ):
        pairs_to_compare(Params.model_validate(content))
