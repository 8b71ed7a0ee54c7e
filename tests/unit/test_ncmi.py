"""The loss of NCMI: CMI of a row over its separation. Its values are those of the authors' code."""

from typing import get_args

import pytest
import torch
from torch.autograd import gradcheck

from src.core.method.batch import Batch, Processes
from src.core.method.centroids import CENTROIDS
from src.core.method.cmi import class_means, class_sums, kl_to_centroids, separation_from_centroids
from src.core.method.objectives import RunObjective
from src.core.method.spaces import Outputs, log_feature_probabilities
from src.core.method.terms.ncmi import cmi_over_separation
from src.params import FeatureMap, Objective
from tests.support.objectives import BASE, COMMITTED, batch

PEER = COMMITTED["ncmi"]
LABELS = torch.arange(12) % 3


def objective(**settings) -> Objective:
    return Objective(**{**BASE, "ncmi_weight": 1.0, **settings})


def doubles(rows: int = 12, width: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("tau", range(2))
@pytest.mark.parametrize("case", range(3))
def test_values_and_gradients_are_those_of_the_authors_code(case, tau):
    classes, temperature = PEER["classes"][case], PEER["taus"][tau]
    n, m = torch.arange(144, dtype=torch.float64).view(24, 6), torch.arange(6.0 * classes, dtype=torch.float64)
    h = (2 * torch.sin(n) + torch.cos(n * n) / 2).requires_grad_()
    q = torch.cos(m * m).view(classes, 6).sigmoid()
    log_p = log_feature_probabilities(h, "unit_sigmoid", h.detach().mean(0, keepdim=True), temperature)
    found = cmi_over_separation(log_p, torch.arange(24) % classes, q / q.sum(1, keepdim=True)).mean()
    found.backward()
    assert found.item() == pytest.approx(PEER["losses"][case][tau], rel=1e-6)
    assert h.grad.norm().item() == pytest.approx(PEER["norms of the gradients"][case][tau], rel=1e-6)


def test_a_known_row():
    """p = (0.5, 0.5), q (0.8, 0.2) and (0.2, 0.8): KL(p || q_0) = ln 1.25, SEP = (ln 2 - 0.5004) / 2 nats."""
    p, q = torch.tensor([[0.5, 0.5]], dtype=torch.float64), torch.tensor([[0.8, 0.2], [0.2, 0.8]], dtype=torch.float64)
    label = torch.tensor([0])
    assert kl_to_centroids(p.log(), label, q).item() == pytest.approx(0.223144, abs=1e-6)
    assert separation_from_centroids(p.log(), label, q).item() == pytest.approx((0.693147 - 0.500402) / 2, abs=1e-6)
    assert cmi_over_separation(p.log(), label, q).item() == pytest.approx(2.315440, abs=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    q = class_means(class_sums(doubles(seed=1).softmax(1), LABELS, 3))
    logits = doubles().requires_grad_()
    assert gradcheck(lambda z: cmi_over_separation(z.log_softmax(1), LABELS, q), logits)


def test_no_gradient_flows_through_the_centroids():
    """That of the objective is that of the rows with q held, which is not that of rows that move q."""
    outputs, _, _ = batch()
    p = outputs.features.softmax(1)
    held = class_means(class_sums(p, LABELS, 3))

    def gradient(loss) -> torch.Tensor:
        h = outputs.features.clone().requires_grad_()
        return torch.autograd.grad(loss(h), h)[0]

    def of_run(h):
        return RunObjective(objective(label_weight=0.0), 3)(Outputs(outputs.logits, h), Batch(LABELS)).total

    def free(h):
        q = class_means(class_sums(h.softmax(1), LABELS, 3))
        return cmi_over_separation(h.log_softmax(1), LABELS, q).mean()

    expected = gradient(lambda h: cmi_over_separation(h.log_softmax(1), LABELS, held).mean())
    assert torch.allclose(gradient(of_run), expected, atol=1e-6)
    assert not torch.allclose(gradient(free), expected, atol=1e-3)


@pytest.mark.parametrize("feature_map", [name for name in get_args(FeatureMap) if name != "softmax"])
def test_the_length_of_h_has_no_part_in_it(feature_map):
    outputs, _, _ = batch()
    found = [
        RunObjective(objective(feature_map=feature_map, tau=0.2), 3)(
            Outputs(outputs.logits, scale * outputs.features), Batch(LABELS)
        ).terms["ncmi"]
        for scale in (1.0, 20.0)
    ]
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-4)


def test_a_first_batch_of_one_label_costs_nothing():
    outputs, _, _ = batch()
    features = outputs.features.clone().requires_grad_()
    one = torch.ones(12, dtype=torch.long)
    found = RunObjective(objective(label_weight=0.0), 3)(Outputs(outputs.logits, features), Batch(one))
    found.total.backward()
    assert found.terms["ncmi"].item() == 0
    assert features.grad.count_nonzero() == 0


@pytest.mark.parametrize("centroid", CENTROIDS)
def test_two_processes_give_the_gradients_of_one(centroid):
    """Parts of unequal size; the other process adds its sums in the order in which they are asked for."""
    outputs, _, _ = batch(rows=9)
    labels, parts = torch.arange(9) % 3, [torch.tensor([0, 3, 6, 1]), torch.tensor([2, 4, 5, 7, 8])]
    settings = objective(centroid=centroid, label_weight=0.0)

    def gradient(rows, processes) -> torch.Tensor:
        leaf = outputs.features[rows].clone().requires_grad_()
        run = RunObjective(settings, 3, processes)
        run.start_epoch(0, lambda values: class_sums(values(outputs), labels, 3))
        run(Outputs(outputs.logits[rows], leaf), Batch(labels[rows], global_rows=9)).total.backward()
        return leaf.grad

    whole = gradient(torch.arange(9), Processes())
    for own, other in (parts, parts[::-1]):
        log_p = outputs.features[other].log_softmax(1)
        sums = iter([part for values in (log_p.exp(), log_p) for part in class_sums(values, labels[other], 3)])
        found = gradient(own, Processes(2, lambda local, sums=sums: local + next(sums)))
        assert torch.allclose(found / 2, whole[own], atol=1e-6)


def test_a_batch_in_parts_has_the_gradient_of_the_batch():
    """With centroids that no batch moves."""
    outputs, _, _ = batch()
    settings = objective(centroid="frozen", label_weight=0.0)

    def gradient(parts: int) -> torch.Tensor:
        leaf = outputs.features.clone().requires_grad_()
        run = RunObjective(settings, 3, parts=parts)
        run.start_epoch(0, lambda values: class_sums(values(outputs), LABELS, 3))
        for rows in torch.arange(12).tensor_split(parts):
            own = Batch(LABELS[rows], global_rows=12, part_labelled=len(rows))
            run(Outputs(outputs.logits[rows], leaf[rows]), own).total.backward()
        return leaf.grad

    assert torch.allclose(gradient(3), gradient(1), atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_in_half_precision_are_taken_in_float32(dtype):
    outputs, _, _ = batch()
    half = outputs.features.to(dtype)
    found, expected = (
        RunObjective(objective(feature_map="unit_sigmoid", tau=0.2), 3)(Outputs(outputs.logits, h), Batch(LABELS))
        for h in (half, half.float())
    )
    assert torch.equal(found.total, expected.total)


def test_its_centroids_go_on_where_they_were_saved():
    outputs, _, _ = batch()
    whole, resumed = (RunObjective(objective(centroid="ema"), 3) for _ in range(2))
    whole(outputs, Batch(LABELS))
    resumed.load_state_dict(whole.state_dict(), torch.device("cpu"))
    later, _, _ = batch(seed=1)
    assert torch.equal(whole(later, Batch(LABELS)).total, resumed(later, Batch(LABELS)).total)
