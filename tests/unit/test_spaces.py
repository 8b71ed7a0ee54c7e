"""The distribution whose CMI is taken: unit maps know neither the length of h nor what is added to it."""

import math
from typing import get_args

import pytest
import torch

from src.core.method.batch import Batch, Processes
from src.core.method.cmi import kl_to_centroids
from src.core.method.objectives import RunObjective
from src.core.method.spaces import (
    CENTRE_MOMENTUM,
    Outputs,
    OutputSpace,
    log_feature_probabilities,
    measure_features,
)
from src.core.training.diagnostics import cmi_metrics
from src.params import FeatureMap, Objective
from tests.support.objectives import BASE

UNIT_MAPS = [name for name in get_args(FeatureMap) if name != "softmax"]


def features(rows: int = 60, width: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(feature_map: str, **settings) -> Objective:
    return Objective(**{**BASE, "feature_map": feature_map, "cmi_weight": 1.0, **settings})


@pytest.mark.parametrize("feature_map", UNIT_MAPS)
@pytest.mark.parametrize(("scale", "shift"), [(0.001, 0.0), (1.0, 30.0), (50.0, -3.0)])
def test_scale_and_shift_of_h_have_no_effect_on_unit_maps(feature_map, scale, shift):
    h, labels = features(), torch.arange(60) % 3
    assert measure_features(scale * h + shift, labels, 3, feature_map) == pytest.approx(
        measure_features(h, labels, 3, feature_map), rel=1e-9
    )
    assert measure_features(0.1 * h, labels, 3).cmi < 0.02 * measure_features(h, labels, 3).cmi


@pytest.mark.parametrize("feature_map", UNIT_MAPS)
def test_the_maps_of_a_known_vector(feature_map):
    """h - m = (3, 4, 0) has length 5, so u = (0.6, 0.8, 0): its sigmoids at tau 1 are 0.6457, 0.6900 and 0.5."""
    h, centre = torch.tensor([[4.0, 5.0, 1.0]], dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
    parts = {"unit_softmax": [math.exp(0.6), math.exp(0.8), 1.0], "unit_sigmoid": [0.645656, 0.689974, 0.5]}
    expected = [part / sum(parts[feature_map]) for part in parts[feature_map]]
    found = log_feature_probabilities(h, feature_map, centre, 1.0).exp().squeeze().tolist()
    assert found == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("feature_map", UNIT_MAPS)
def test_h_at_the_centre_is_uniform(feature_map):
    h = torch.ones(1, 4, dtype=torch.float64)
    assert log_feature_probabilities(h, feature_map, h, 0.1).exp().tolist() == [[0.25] * 4]


@pytest.mark.parametrize("feature_map", UNIT_MAPS)
def test_isotropic_features_have_a_share_of_a_dth(feature_map):
    """u has variance 1 / d in each dimension, and the sigmoid's slope at 0 is half of the exponential's there."""
    h = features(2000, 64)
    cmi = measure_features(h, torch.zeros(2000, dtype=torch.long), 1, feature_map).cmi
    assert cmi == pytest.approx({"unit_softmax": 1 / 2, "unit_sigmoid": 1 / 8}[feature_map] / 64, rel=0.03)


@pytest.mark.parametrize("feature_map", UNIT_MAPS)
def test_a_row_at_the_centre_has_a_bounded_gradient(feature_map):
    """As the first labelled row of a run has, where it comes alone."""
    h = torch.ones(1, 8, requires_grad=True)
    log_p = log_feature_probabilities(h, feature_map, torch.ones(1, 8), 0.1)
    kl_to_centroids(log_p, torch.zeros(1, dtype=torch.long), torch.tensor([[0.3, 0.1, *[0.1] * 6]])).sum().backward()
    assert h.grad.norm() < 1e5


@pytest.mark.parametrize("feature_map", UNIT_MAPS)
@pytest.mark.parametrize("tau", [0.1, 1.0, 1e3])
def test_training_in_one_batch_has_the_cmi_of_the_measure(feature_map, tau):
    """With all rows in the first batch the moving mean is their mean, to float32."""
    h, labels = features(), torch.arange(60) % 3
    terms = RunObjective(objective(feature_map, tau=tau), 3)(Outputs(torch.zeros(60, 3), h.float()), Batch(labels))
    unit = h - h.mean(dim=0)
    unit = unit / unit.norm(dim=1, keepdim=True) / tau
    shares = {"unit_softmax": unit.exp(), "unit_sigmoid": unit.sigmoid()}[feature_map]
    p = shares / shares.sum(1, keepdim=True)
    q = torch.stack([p[labels == y].mean(dim=0) for y in range(3)])[labels]
    assert terms.terms["cmi"].item() == pytest.approx((p * (p / q).log()).sum(1).mean().item(), rel=1e-4)


@pytest.mark.parametrize("feature_map", UNIT_MAPS)
def test_the_gradient_has_no_part_along_h(feature_map):
    """So no step of training shrinks or grows h - m for the sake of CMI; of softmax(h) it does."""
    labels = torch.arange(60) % 3

    def share_along_h(own: str) -> float:
        h = features().float().requires_grad_()
        RunObjective(objective(own), 3)(Outputs(torch.zeros(60, 3), h), Batch(labels)).terms["cmi"].backward()
        centred = (h - h.mean(dim=0)).detach()
        along = (h.grad * centred).sum(dim=1) / centred.norm(dim=1)
        return (along.norm() / h.grad.norm()).item()

    assert share_along_h(feature_map) < 1e-5
    assert share_along_h("softmax") > 0.1


def test_the_centre_is_a_moving_mean_over_batches_and_processes():
    """Of two batches with the means a and b it is (m a + b) / (1 + m), m = 0.9999. Another process has other rows."""
    ours = [features(10, seed=1).float(), features(10, seed=2).float() + 5]
    theirs = [features(6, seed=3).float() - 2, features(6, seed=4).float() + 1]
    of_the_other = iter([part for h in theirs for part in (h.sum(dim=0, keepdim=True), torch.tensor([6.0]))])
    space = OutputSpace(objective("unit_softmax"), add=lambda sums: sums + next(of_the_other), parts=1)
    for h in ours:
        space.centre_of_batch(Outputs(torch.zeros(10, 3), h))
    a, b = (torch.cat(batch).mean(dim=0) for batch in zip(ours, theirs, strict=True))
    m = CENTRE_MOMENTUM
    assert space.centre.value.squeeze() == pytest.approx((m * a + b) / (1 + m), abs=1e-4)


def test_a_split_is_seen_from_the_centre_as_it_is_and_does_not_move_it():
    h = features(20).float()
    space = OutputSpace(objective("unit_softmax"), add=lambda sums: sums, parts=1)
    outputs, moved = Outputs(torch.zeros(20, 3), h), Outputs(torch.zeros(20, 3), h + 7)
    before = space.p_of_split(moved, 1.0)
    own = space.log_p(outputs, space.centre_of_batch(outputs), 1.0).exp()
    assert before == pytest.approx(own, abs=1e-5)  # its own mean, before the first batch
    centre = space.centre.value.clone()
    assert space.p_of_split(moved, 1.0) != pytest.approx(before, abs=1e-3)
    assert torch.equal(space.centre.value, centre)


def test_the_centre_goes_on_where_it_was_saved():
    outputs, labels = Outputs(torch.zeros(60, 3), features().float()), torch.arange(60) % 3
    whole, resumed = (RunObjective(objective("unit_sigmoid", centroid="ema"), 3, Processes()) for _ in range(2))
    whole(outputs, Batch(labels))
    resumed.load_state_dict(whole.state_dict(), torch.device("cpu"))
    later = Outputs(outputs.logits, outputs.features.flip(0) + 1)
    assert torch.equal(whole(later, Batch(labels)).terms["cmi"], resumed(later, Batch(labels)).terms["cmi"])


def test_a_map_adds_its_measures_and_leaves_those_of_softmax():
    outputs, labels = Outputs(torch.randn(60, 3), features()), torch.arange(60) % 3
    plain = cmi_metrics("selection", outputs, labels, 3, "softmax")
    mapped = cmi_metrics("selection", outputs, labels, 3, "unit_sigmoid")
    assert plain.items() <= mapped.items()
    assert set(mapped) - set(plain) == {
        f"selection_unit_sigmoid_{measure}" for measure in ("cmi", "gamma", "ncmi", "log_cmi")
    }
    assert mapped["selection_unit_sigmoid_cmi"] == measure_features(outputs.features, labels, 3, "unit_sigmoid").cmi
