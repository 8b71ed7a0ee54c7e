"""The affine map of a teacher's logits: closed forms, both signs of its weight, and where there is none."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from src.core.distillation.affine_map import AffineMap, fitted_map
from src.core.method.cmi import measure
from src.core.metrics import nll_rows


def teacher(classes: int, rows: int = 150, size: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Logits that tell most labels, and the labels."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    return size * np.eye(classes)[labels] + generator.standard_normal((rows, classes)), labels


def fitted(logits: np.ndarray, labels: np.ndarray, cmi_weight: float) -> AffineMap:
    found = fitted_map(logits, labels, cmi_weight)
    assert found is not None
    return found


def class_cmi(logits: np.ndarray, labels: np.ndarray) -> float:
    return measure(torch.tensor(logits), torch.tensor(labels), logits.shape[1]).cmi


def test_without_cmi_two_kinds_of_rows_get_their_shares_of_labels():
    """The maximum-likelihood map of logits (2, 0), 3 of 4 of label 0, and (0, 2), 1 of 5 of label 0."""
    logits = np.repeat([[2.0, 0.0], [0.0, 2.0]], [4, 5], axis=0)
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 1, 1])
    shares = softmax(fitted(logits, labels, 0.0)(logits), axis=1)[:, 0]
    assert shares == pytest.approx([0.75] * 4 + [0.2] * 5, abs=1e-12)


def test_without_cmi_what_is_left_of_the_labels_does_not_depend_on_the_logits():
    """The first-order conditions of logistic regression: probabilities less labels have no product with (z, 1)."""
    logits, labels = teacher(3)
    left = softmax(fitted(logits, labels, 0.0)(logits), axis=1) - np.eye(3)[labels]
    assert np.abs(left.T @ np.column_stack([logits, np.ones(len(logits))])).max() < 1e-9


@pytest.mark.parametrize("classes", [2, 3])
def test_a_weight_above_0_lowers_cmi_and_one_below_raises_it(classes):
    logits, labels = teacher(classes)
    maps = [fitted(logits, labels, weight)(logits) for weight in (1.0, 0.3, 0.0, -0.3, -1.0)]
    cmi = [class_cmi(mapped, labels) for mapped in maps]
    nll = [nll_rows(labels, mapped).mean() for mapped in maps]
    assert np.diff(cmi).min() > 0.01
    assert nll.index(min(nll)) == 2


@pytest.mark.parametrize("weight", [1.0, -0.3, -3.0])
def test_the_order_of_rows_changes_nothing(weight):
    logits, labels = teacher(3)
    order = np.random.default_rng(1).permutation(len(labels))
    one, other = fitted(logits, labels, weight), fitted(logits[order], labels[order], weight)
    assert other.matrix == pytest.approx(one.matrix, abs=1e-8)
    assert other.offset == pytest.approx(one.offset, abs=1e-8)


@pytest.mark.parametrize("weight", [-1.5, -5.0, -50.0])
def test_cmi_has_a_bound_so_that_a_large_weight_below_0_costs_errors_and_no_more(weight):
    """CMI is at most log C, and the NLL of a row that is told wrongly grows with the map: there is a minimum."""
    logits, labels = teacher(2, rows=1000, size=4.0)
    plain, mapped = (fitted(logits, labels, one)(logits) for one in (0.0, weight))
    assert class_cmi(plain, labels) < class_cmi(mapped, labels) < np.log(2)
    right = [(one.argmax(axis=1) == labels).mean() for one in (plain, mapped)]
    assert right[1] < right[0] - 0.01


@pytest.mark.parametrize("weight", [1.0, 0.0, -0.3])
def test_a_map_that_gets_every_label_right_has_no_best_size(weight):
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 2
    assert fitted_map(3 * np.eye(2)[labels] + generator.uniform(-1, 1, (60, 2)), labels, weight) is None


def test_a_label_that_no_row_has_leaves_no_minimum():
    logits, labels = teacher(3)
    assert fitted_map(logits[labels < 2], labels[labels < 2], 0.5) is None


def test_two_opposite_logits_get_a_temperature_and_a_threshold():
    """Up to the rounding of float32 there is one number a row, z_1 - z_0, and the map is affine in it."""
    logits, labels = teacher(2)
    score = (logits[:, 1] - logits[:, 0]).astype(np.float32)
    opposite = np.column_stack([0.1 - score, 0.1 + score])
    found = fitted(opposite, labels, -0.3)
    mapped = np.diff(found(opposite))[:, 0]
    slope, offset = np.polyfit(2 * score.astype(float), mapped, 1)
    assert mapped == pytest.approx(2 * slope * score + offset, abs=1e-5)
    assert np.abs(found.matrix).max() < 10  # and no large number comes of the rounding
