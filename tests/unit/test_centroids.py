"""Class centroids by each rule: closed forms, their use in CMI and centre loss, and several processes."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from src.core.method.batch import Batch, Processes
from src.core.method.centroids import CENTROIDS, EmaCentroids, TrainSplitCentroids, make_centroids
from src.core.method.cmi import ClassSums, class_means, class_sums, measure
from src.core.method.losses import (
    CENTRE_MAPS,
    centre_distances,
    squared_norms,
)
from src.core.method.objectives import RunObjective
from src.core.method.spaces import Outputs
from src.params import CentreMap, Objective
from tests.support.objectives import BASE, batch, loss


def test_the_length_of_h_and_its_distance_to_the_centre_have_their_closed_forms():
    """h = (3, 4) has length 5; it is (3, 0) from the centre (0, 4), half of whose square is 4.5."""
    h = torch.tensor([[3.0, 4.0]])
    assert squared_norms(h).item() == 25
    assert centre_distances(h, torch.tensor([1]), torch.tensor([[9.0, 9.0], [0.0, 4.0]])).item() == 4.5
    outputs, labels, _ = batch()
    assert loss(norm_penalty=0.3) == pytest.approx(loss() + 0.3 * (outputs.features**2).sum(1).mean().item(), rel=1e-5)
    means = class_means(class_sums(outputs.features, labels, 3))
    apart = 0.5 * ((outputs.features - means[labels]) ** 2).sum(1).mean().item()
    assert loss(centre_weight=0.3) == pytest.approx(loss() + 0.3 * apart, rel=1e-5)


@pytest.mark.parametrize("centre_map", get_args(CentreMap))
@pytest.mark.parametrize("centroid", CENTROIDS)
def test_centre_loss_is_that_of_an_independent_formula(centroid, centre_map):
    """Two batches; half the mean squared distance of h / |h| to the centres, which the rule makes of h / |h|.

    For `none` the same of h itself. The formula is in NumPy, class by class.
    """
    settings = Objective(**{**BASE, "centre_weight": 1.0, "centroid": centroid, "centre_map": centre_map})
    objective, (first, labels, _), (second, *_) = RunObjective(settings, 3), batch(1), batch(2)
    split = batch(3, rows=30)[0]

    def centres_of(features: torch.Tensor) -> np.ndarray:
        vectors, own = mapped(features), np.arange(len(features)) % 3
        return np.stack([vectors[own == label].mean(axis=0) for label in range(3)])

    def mapped(features: torch.Tensor) -> np.ndarray:
        h = features.double().numpy()
        return h if centre_map == "none" else h / np.sqrt((h * h).sum(axis=1, keepdims=True))

    objective.start_epoch(0, lambda values: class_sums(values(split), torch.arange(30) % 3, 3))
    objective(first, Batch(labels))
    found = objective(second, Batch(labels)).terms["centre"].item()
    one, two = centres_of(first.features), centres_of(second.features)
    of_split = centres_of(split.features)
    centres = {"batch": two, "ema": (0.09 * one + 0.1 * two) / 0.19, "epoch": of_split, "frozen": of_split}
    apart = mapped(second.features) - centres[centroid][labels.numpy()]
    assert found == pytest.approx(0.5 * (apart**2).sum(axis=1).mean(), rel=1e-5)


def test_centre_loss_of_unit_vectors_passes_finite_differences_and_ignores_their_length():
    """Its gradient has no part along h: a shorter h is no way to less loss."""
    labels, centres = torch.arange(6) % 3, batch(1)[0].features[:3].double()
    h = batch(rows=6)[0].features.double().requires_grad_()

    def distances(features: torch.Tensor) -> torch.Tensor:
        return centre_distances(CENTRE_MAPS["unit"](features), labels, centres)

    assert gradcheck(distances, h)
    assert torch.allclose(distances(7 * h), distances(h))
    gradient = torch.autograd.grad(distances(h).sum(), h)[0]
    assert (gradient * h).sum(dim=1).abs().max() < 1e-12 < gradient.norm(dim=1).min()


@pytest.mark.parametrize("scale", [1e-2, 1e-3])
def test_for_small_h_the_gradient_of_cmi_is_that_of_centre_loss_over_the_width(scale):
    """Up to the mean of h over its entries, which softmax cannot see; what they differ by falls with h."""
    labels, width = torch.arange(30) % 3, 64
    h = scale * torch.randn(30, width, dtype=torch.double, generator=torch.Generator().manual_seed(0))

    def gradient(**weights: float) -> torch.Tensor:
        leaf = (h - h.mean(1, keepdim=True)).requires_grad_()
        terms = RunObjective(Objective(**{**BASE, **weights}), 3)(Outputs(torch.zeros(30, 3), leaf), Batch(labels))
        return torch.autograd.grad(terms.total, leaf)[0]

    of_cmi, of_centres = gradient(cmi_weight=5.0), gradient(centre_weight=5.0 / width)
    assert (of_cmi - of_centres).norm() < 2 * scale * of_centres.norm()


@pytest.mark.parametrize("centroid", CENTROIDS)
def test_cmi_of_float32_features_keeps_its_digits_at_a_high_tau(centroid):
    """CMI falls with tau^2: 1e-7 nats here, which is what float32 loses."""
    outputs, labels, _ = batch()
    settings = Objective(**{**BASE, "tau": 1e3, "cmi_weight": 1.0, "centroid": centroid})
    objective = RunObjective(settings, 3)
    objective.start_epoch(0, lambda values: class_sums(values(outputs), labels, 3))
    found = objective(outputs, Batch(labels)).terms["cmi"].item()
    assert found == pytest.approx(measure(outputs.features, labels, 3, 1e3).cmi, rel=1e-5)
    assert found < 1e-6


@pytest.mark.parametrize("centroid", ["batch", "ema"])
def test_minimising_cmi_does_not_collapse(centroid):
    """Free logits under CE + 5 CMI still learn every label."""
    objective = RunObjective(Objective(**{**BASE, "space": "class", "cmi_weight": 5.0, "centroid": centroid}), 2)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(100) % 2
    logits = torch.randn(100, 2, generator=generator, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        objective(Outputs(logits, logits), Batch(labels)).total.backward()
        optimizer.step()
    assert (logits.argmax(dim=1) == labels).all()
    assert measure(logits.detach(), labels, 2).cmi < 1e-3


def test_ema_starts_at_the_first_batch_and_follows_the_rule():
    """Two batches with m = 0.9: (0.9 * 0.1 a + 0.1 b) / (1 - 0.81)."""
    ema = EmaCentroids(0.9)
    a, b = torch.tensor([[0.2, 0.8], [0.5, 0.5]]), torch.tensor([[0.6, 0.4], [0.1, 0.9]])
    assert torch.allclose(ema.update(ClassSums(4 * a, torch.full((2,), 4.0))), a)
    second = ema.update(ClassSums(2 * b, torch.full((2,), 2.0)))
    assert torch.allclose(second, (0.09 * a + 0.1 * b) / 0.19)


def test_a_class_absent_from_a_batch_keeps_its_centroid():
    ema = EmaCentroids(0.9)
    first = ema.update(ClassSums(torch.tensor([[0.2, 0.8], [0.5, 0.5]]), torch.ones(2)))
    second = ema.update(ClassSums(torch.tensor([[0.6, 0.4], [0.0, 0.0]]), torch.tensor([1.0, 0.0])))
    assert torch.allclose(second[1], first[1])
    assert not torch.allclose(second[0], first[0])


@pytest.mark.parametrize("name", CENTROIDS)
def test_each_estimator_looks_at_the_train_split_as_often_as_it_says(name):
    calls = []
    centroids = make_centroids(name, 0.9)
    for epoch in range(3):
        centroids.start_epoch(epoch, lambda: calls.append(1) or ClassSums(torch.ones(2, 2), torch.ones(2)))
    assert len(calls) == {"batch": 0, "ema": 0, "epoch": 3, "frozen": 1}[name]


def test_train_split_centroids_ignore_the_batch():
    centroids = TrainSplitCentroids(every_epoch=False)
    whole = ClassSums(torch.tensor([[3.0, 1.0], [1.0, 3.0]]), torch.full((2,), 4.0))
    centroids.start_epoch(0, lambda: whole)
    assert torch.equal(centroids.update(ClassSums(torch.zeros(2, 2), torch.zeros(2))), class_means(whole))


@pytest.mark.parametrize(("clusters", "centre_map"), [("class", "none"), ("all", "unit")])
@pytest.mark.parametrize("centroid", CENTROIDS)
def test_two_processes_give_the_gradients_of_one(centroid, clusters, centre_map):
    """Data-parallel training averages gradients; parts of unequal size, and a class that one part lacks."""
    weights = {"cmi_weight": 0.7, "separation_weight": 0.3, "centre_weight": 0.02, "norm_penalty": 0.01, "alpha": 0.5}
    names = {"centroid": centroid, "clusters": clusters, "centre_map": centre_map}
    settings = Objective(**{**BASE, **names, "temperature": 2.0, **weights})
    outputs, labels, teacher = batch(rows=9)
    parts = [torch.tensor([0, 3, 6, 1]), torch.tensor([2, 4, 5, 7, 8])]

    def gradients(rows, processes):
        leaves = Outputs(*(values[rows].clone().requires_grad_() for values in outputs))
        objective = RunObjective(settings, 3, processes)
        objective.start_epoch(0, lambda values: class_sums(values(outputs), labels, 3))
        objective(leaves, Batch(labels[rows], teacher[rows], 9)).total.backward()
        return [leaf.grad for leaf in leaves]

    whole = gradients(torch.arange(9), Processes())
    for own, other in (parts, parts[::-1]):
        add = iter(_sums_in_order(outputs, labels, other, settings))
        found = gradients(own, Processes(2, lambda local, others=add: local + next(others)))
        for part, full in zip(found, whole, strict=True):
            assert torch.allclose(part / 2, full[own], atol=1e-6)


def _sums_in_order(outputs, labels, rows, settings):
    """What the other process contributes to each of the objective's sums, in the order they are asked for."""
    log_p = outputs.features[rows].log_softmax(-1)
    for values in (log_p.exp(), log_p, CENTRE_MAPS[settings.centre_map](outputs.features[rows])):
        sums = class_sums(values, labels[rows], 3)
        yield sums.totals
        yield sums.counts
