"""The limit of the weight in class space, above which CMI-max prefers less probability of the label."""

import pytest
import torch

from src.core.method.cmi import kl_to_centroids
from tests.support.study_numbers import cells

PAGE = "docs/controls.md"
LIMITS = {  # by epsilon: the limit and the row's probability of its label there, for two and for three labels
    0.01: ((0.43, 0.51), (0.35, 0.56)),
    0.05: ((0.83, 0.33), (0.61, 0.41)),
    0.1: ((1.28, 0.23), (0.85, 0.32)),
    0.2: ((2.49, 0.12), (1.38, 0.21)),
}
P = torch.linspace(1e-4, 1 - 1e-6, 100_001, dtype=torch.float64)


def losses(weight: float, epsilon: float, num_classes: int) -> torch.Tensor:
    """The loss of rows with probability `P` on their label, less that of the surest row."""
    rows = torch.full((len(P), num_classes), 1e-300, dtype=torch.float64)
    rows[:, 0], rows[:, 1] = P, 1 - P
    centroids = torch.full((num_classes, num_classes), epsilon / (num_classes - 1), dtype=torch.float64)
    centroids[0, 0] = 1 - epsilon
    kl = kl_to_centroids(rows.log(), torch.zeros(len(P), dtype=torch.int64), centroids)
    found = -P.log() - weight * kl
    return found - found[-1]


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("epsilon", LIMITS)
def test_above_the_limit_the_loss_is_smallest_at_less_of_the_label(epsilon, num_classes):
    limit, p = LIMITS[epsilon][num_classes - 2]
    below, above = (losses(limit + change, epsilon, num_classes) for change in (-0.006, 0.006))
    assert below.min() > -1e-5
    assert above.min() < -1e-3
    assert P[above.argmin()] == pytest.approx(p, abs=0.02)


@pytest.mark.parametrize("epsilon", LIMITS)
def test_a_row_that_is_surer_than_its_centroid_becomes_surer_still(epsilon):
    limit, _ = LIMITS[epsilon][1]
    surer = losses(limit - 0.006, epsilon, 3)[1 - epsilon <= P]
    assert (surer.diff() < 0).all()


@pytest.mark.parametrize("epsilon", LIMITS)
def test_the_page_has_the_limits(epsilon):
    assert cells(PAGE, f"{epsilon:g}") == [f"{value:.2f}" for pair in LIMITS[epsilon] for value in pair]
