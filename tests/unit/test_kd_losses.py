"""Distances between student and teacher: closed forms, the values of a peer, gradients, and rounding."""

import math
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from src.core.method.losses import (
    KD_LOSSES,
    kd_dist,
    kd_kl,
    kd_logit_std,
    kd_ttm,
    kd_wttm,
)
from src.params import HOTTEST, KdLoss
from tests.support.objectives import COMMITTED, batch, loss

KD_FUNCTIONS = [distance.of_rows for distance in KD_LOSSES.values()]


def test_distillation_weighs_teacher_and_labels():
    outputs, labels, teacher = batch()
    ce = F.cross_entropy(outputs.logits, labels)
    kl = F.kl_div(
        F.log_softmax(outputs.logits / 4, -1), F.log_softmax(teacher / 4, -1), reduction="batchmean", log_target=True
    )
    assert loss(alpha=0.9, temperature=4.0, teacher=True) == pytest.approx((0.1 * ce + 0.9 * 16 * kl).item(), rel=1e-5)


def test_distillation_of_equal_logits_is_0_and_of_a_known_pair_is_known():
    logits = torch.tensor([[2.0, 0.0]])
    assert kd_kl(logits, logits, 3.0).item() == pytest.approx(0, abs=1e-7)
    # Teacher (0.8, 0.2) and student (0.5, 0.5) at T = 1: 0.8 ln 1.6 + 0.2 ln 0.4 = 0.19274 nats.
    teacher = torch.tensor([[math.log(4.0), 0.0]])
    assert kd_kl(torch.zeros(1, 2), teacher, 1.0).item() == pytest.approx(0.19274, abs=1e-5)


def test_standardised_kd_ignores_the_size_of_logits():
    _, _, teacher = batch()
    assert kd_logit_std(3.0 * teacher + 1.0, teacher, 2.0) == pytest.approx(torch.zeros(12), abs=1e-5)
    assert kd_kl(3.0 * teacher + 1.0, teacher, 2.0).mean() > 0.1


def test_dist_is_0_for_equal_predictions_and_4_for_opposite_ones():
    """Two classes, two rows: correlations of -1 over classes and over rows."""
    teacher = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert kd_dist(teacher, teacher, 1.0) == pytest.approx(torch.zeros(2), abs=1e-6)
    assert kd_dist(teacher.flip(0), teacher, 1.0) == pytest.approx(torch.full((2,), 4.0), abs=1e-5)


def test_at_temperature_1_a_temperature_of_the_teacher_alone_is_plain_kd():
    student, teacher = (batch(seed)[0].logits.double() for seed in (1, 2))
    plain = kd_kl(student, teacher, 1.0)
    assert torch.equal(kd_ttm(student, teacher, 1.0), plain)
    assert torch.allclose(kd_wttm(student, teacher, 1.0), plain, rtol=1e-14)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 5.0])
def test_a_temperature_of_the_teacher_alone_is_kd_less_an_entropy_of_the_student(temperature):
    """T TTM = KD - T (T - 1) H_{1/T}(q) + T (T - 1) H(p_T), H_a(q) = log(sum_j q_j^a) / (1 - a) the Renyi entropy."""
    student, teacher = (batch(seed)[0].logits.double() for seed in (1, 2))
    student.requires_grad_()
    log_p, power = (teacher / temperature).log_softmax(-1), 1 / temperature
    shannon = -(log_p.exp() * log_p).sum(-1)
    renyi = (power * student.log_softmax(-1)).logsumexp(-1) / (1 - power)
    weight = temperature * (temperature - 1)
    ttm, less = kd_ttm(student, teacher, temperature), kd_kl(student, teacher, temperature) - weight * renyi
    assert torch.allclose(temperature * ttm, less + weight * shannon, rtol=1e-12)
    # So a run of TTM has the gradients of a run of KD with this entropy, at another alpha and up to a factor.
    alpha, ce = 0.3, F.cross_entropy(student, torch.arange(12) % 3)
    factor = 1 - alpha + alpha * temperature
    other = alpha * temperature / factor
    of_kd, of_ttm = (1 - alpha) * ce + alpha * less.mean(), (1 - other) * ce + other * ttm.mean()
    wanted, found = (torch.autograd.grad(one, student, retain_graph=True)[0] for one in (of_kd, of_ttm))
    assert torch.allclose(factor * found, wanted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_gradient_of_ttm_is_the_difference_of_the_probabilities(temperature):
    """q - p_T for each row, without a factor; WTTM weighs it by sum_j p_j^(1/T)."""
    student, teacher = (batch(seed)[0].logits.double() for seed in (1, 2))
    student.requires_grad_()
    apart = student.detach().softmax(-1) - (teacher / temperature).softmax(-1)
    weights = (teacher.softmax(-1) ** (1 / temperature)).sum(-1, keepdim=True)
    for kd, wanted in ((kd_ttm, apart), (kd_wttm, weights * apart)):
        assert torch.allclose(torch.autograd.grad(kd(student, teacher, temperature).sum(), student)[0], wanted)


@pytest.mark.parametrize("kd", [distance.of_rows for distance in KD_LOSSES.values() if distance.fits(3, parts=2)])
def test_kd_of_a_row_depends_on_no_other_row(kd):
    """So that it is the same in several processes, and for a batch in parts."""
    student, teacher = (batch(seed)[0].logits for seed in (1, 2))
    parts = [kd(student[rows], teacher[rows], 3.0) for rows in (slice(0, 5), slice(5, 12))]
    assert torch.cat(parts) == pytest.approx(kd(student, teacher, 3.0), rel=1e-6)


@pytest.mark.parametrize("kd", [kd for kd in KD_FUNCTIONS if kd is not kd_logit_std])
def test_kd_of_half_precision_logits_is_taken_in_float32(kd):
    """`kd_logit_std` standardises logits in their own type."""
    student, teacher = (batch(seed)[0].logits.bfloat16() for seed in (1, 2))
    found = kd(student, teacher, 4.0)
    assert found.dtype == torch.float32
    assert torch.equal(found, kd(student.float(), teacher.float(), 4.0))


@pytest.mark.parametrize("name", get_args(KdLoss))
def test_kd_losses_are_those_of_the_peer(name):
    """torchdistill or the authors' code on the same tensors; two losses hold the labels' too, with weight 0.1."""
    peer, n = COMMITTED["peer"], torch.arange(320, dtype=torch.float64).reshape(64, 5)
    student, teacher, labels = 2 * torch.sin(n), 3 * torch.cos(n * n), torch.arange(64) % 5
    ce, alpha = F.cross_entropy(student, labels), 0.9 if name in ("kl", "logit_std") else 1.0
    for temperature, expected in zip(peer["temperatures"], peer[name], strict=True):
        kd = KD_LOSSES[name].of_rows(student, teacher, temperature).mean()
        assert ((1 - alpha) * ce + alpha * kd).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [10.0, 20.0, 1e3, HOTTEST])
@pytest.mark.parametrize("kd", KD_FUNCTIONS)
def test_kd_of_float32_logits_keeps_its_digits_at_every_temperature(kd, temperature):
    """In float32 throughout, `kd_kl` is off by 0.2 % at T = 1e3, and 0 or thousands at 1e6."""
    student, teacher = (batch(seed)[0].logits for seed in (1, 2))
    exact = kd(student.double(), teacher.double(), temperature).mean().item()
    assert kd(student, teacher, temperature).mean().item() == pytest.approx(exact, rel=1e-5)


def test_kd_at_a_high_temperature_is_half_the_variance_of_the_difference():
    """T^2 KL -> (mean of d^2 - (mean of d)^2) / 2 over the classes, d the difference of the logits."""
    student, teacher = (batch(seed)[0].logits for seed in (1, 2))
    limit = (student - teacher).var(dim=1, unbiased=False).mean().item() / 2
    assert kd_kl(student, teacher, HOTTEST).mean().item() == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("kd", KD_FUNCTIONS)
def test_kd_losses_pass_finite_differences(kd):
    student, teacher = (batch(seed, rows=4)[0].logits.double() for seed in (1, 2))
    assert gradcheck(lambda logits: kd(logits, teacher, 1.5), student.requires_grad_())


@pytest.mark.parametrize("name", KD_LOSSES)
def test_a_distance_has_a_gradient_with_as_few_classes_as_it_allows(name):
    """Standardised logits of two classes are -0.71 and 0.71 whatever they were, so `run_training` refuses them."""

    def gradient(classes: int) -> float:
        student, teacher = (
            2 * torch.randn(6, classes, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
        )
        KD_LOSSES[name].of_rows(student.requires_grad_(), teacher, 2.0).sum().backward()
        return student.grad.abs().max().item()

    least = KD_LOSSES[name].least_classes
    assert gradient(least) > 1e-2
    assert least == 2 or gradient(least - 1) < 1e-4
