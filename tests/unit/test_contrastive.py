"""Supervised contrastive learning: closed forms, a peer's values, and which batches have pairs."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from src.core.method.batch import NO_LABEL, Batch
from src.core.method.losses import contrastive_losses, partners
from src.core.method.objectives import RunObjective, plain_objective
from src.core.method.spaces import Outputs
from src.params import Objective
from tests.support.objectives import BASE, COMMITTED, batch, loss
from tests.support.training import trained_in

pytestmark = pytest.mark.usefixtures("one_thread")

PEER = COMMITTED["contrastive peer"]
NUMBERS = torch.arange(64)
LABELS = {
    "modulo 5": NUMBERS % 5,
    "modulo 2": NUMBERS % 2,
    "lonely": (NUMBERS % 5).index_fill(0, torch.tensor([0]), 7),
    "one class": torch.zeros_like(NUMBERS),
}


def term(features: torch.Tensor, labels: torch.Tensor, tau: float = 0.3, **settings: object) -> torch.Tensor:
    """The term of a batch of these rows, as a run has it."""
    objective = Objective(**{**BASE, "contrastive_weight": 0.5, "contrastive_tau": tau, **settings})
    outputs = Outputs(torch.zeros(len(features), 8), features)
    known = int((labels != NO_LABEL).sum())
    return RunObjective(objective, 8)(outputs, Batch(labels, None, len(labels), known)).terms["contrastive"]


@pytest.mark.parametrize("tau", [0.1, 0.3, 2.0])
@pytest.mark.parametrize("rows", [2, 3, 10])
def test_classes_at_right_angles_have_a_closed_form(rows, tau):
    """All rows of a class equal: n - 1 others at similarity 1, n at 0, so log(n - 1 + n exp(-1 / tau))."""
    labels = torch.arange(2 * rows) % 2
    features = torch.eye(2, dtype=torch.double)[labels] * torch.arange(1, 2 * rows + 1).unsqueeze(1)
    assert term(features, labels, tau).item() == pytest.approx(
        math.log(rows - 1 + rows * math.exp(-1 / tau)), rel=1e-12
    )


@pytest.mark.parametrize("name", LABELS)
def test_values_are_those_of_the_peer(name):
    features = 2 * torch.sin(torch.arange(320, dtype=torch.double).reshape(64, 5))
    found = [term(features, LABELS[name], tau).item() for tau in PEER["taus"]]
    assert found == pytest.approx(PEER[name], rel=1e-12)


def test_the_loss_on_labels_is_shared_and_the_teacher_keeps_its_weight():
    """(1 - alpha) ((1 - w) L + w SCL) + alpha KD."""
    outputs, labels, teacher = batch()
    settings = {"contrastive_weight": 0.4, "alpha": 0.7}
    found = RunObjective(Objective(**{**BASE, **settings}), 3)(outputs, Batch(labels, teacher))
    label, kd, scl = (found.terms[name].item() for name in ("label", "kd", "contrastive"))
    assert found.total.item() == pytest.approx(0.3 * (0.6 * label + 0.4 * scl) + 0.7 * kd, rel=1e-5)
    assert loss(contrastive_weight=0.4) == pytest.approx(0.6 * label + 0.4 * scl, rel=1e-5)


def test_plain_epochs_leave_it_out():
    assert plain_objective(Objective(**{**BASE, "contrastive_weight": 0.4})).contrastive_weight == 0


def test_gradients_are_those_of_the_definition_and_of_finite_differences():
    """The definition row by row, pair by pair; row 6 is alone with its label."""
    labels, tau = torch.tensor([0, 1, 0, 1, 1, 0, 2]), 0.4
    h = torch.randn(7, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0)).requires_grad_()
    unit, rows = h / h.norm(dim=1, keepdim=True), []
    for i in range(6):
        others = [k for k in range(7) if k != i]
        among = torch.stack([unit[i] @ unit[k] / tau for k in others]).exp().sum()
        mine = [k for k in others if labels[k] == labels[i]]
        rows.append(-torch.stack([((unit[i] @ unit[k] / tau).exp() / among).log() for k in mine]).mean())
    expected = torch.autograd.grad(torch.stack(rows).mean(), h)[0]
    assert torch.allclose(torch.autograd.grad(term(h, labels, tau), h)[0], expected, atol=1e-12)
    assert gradcheck(lambda features: contrastive_losses(features, partners(labels), tau), h)


def test_the_length_of_h_does_not_matter():
    outputs, labels, _ = batch()
    scaled = outputs.features * torch.linspace(0.1, 10, len(labels)).unsqueeze(1)
    assert term(scaled, labels).item() == pytest.approx(term(outputs.features, labels).item(), rel=1e-5)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [1], [NO_LABEL, NO_LABEL], [0, NO_LABEL, 1]])
def test_a_batch_without_pairs_leaves_it_out(labels):
    """One class, or no two rows of one label: the value and the gradient are 0, and not NaN."""
    features = batch()[0].features[: len(labels)].clone().requires_grad_()
    found = term(features, torch.tensor(labels))
    found.backward()
    assert found.item() == 0
    assert features.grad.abs().max() == 0


def test_rows_without_a_label_are_in_no_pair():
    features, labels = batch()[0].features, torch.tensor([0, 1, 0, 1, NO_LABEL, NO_LABEL])
    found = term(features[:6], labels)
    assert found.item() == pytest.approx(term(features[:4], labels[:4]).item(), rel=1e-6)


def test_runs_in_half_precision_go_as_in_fp32_but_for_rounding(tiny_encoder):
    settings = {"contrastive_weight": 0.5, "centre_weight": 0.1, "centre_map": "unit"}
    exact, *halves = (trained_in(tiny_encoder, which, **settings)[1].history for which in ("fp32", "bf16", "fp16"))
    for rounded in halves:
        for one, other in zip(exact, rounded, strict=True):
            assert other["selection_nll"] != one["selection_nll"]
            for key in ("loss_total", "loss_contrastive", "loss_centre", "selection_nll"):
                assert other[key] == pytest.approx(one[key], abs=0.03), key
    assert exact[-1]["loss_contrastive"] < exact[0]["loss_contrastive"]
