"""Closed forms of CMI and Gamma, each with its number."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from src.core.method.cmi import (
    class_means,
    class_sums,
    kl_to_centroids,
    log_probabilities,
    measure,
    separation,
)

torch.set_num_threads(1)


def random_scores(seed: int, rows: int = 60, dimension: int = 4, classes: int = 3, scale: float = 2.0):
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(rows, dimension, generator=generator, dtype=torch.float64)
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (rows - classes,), generator=generator)])
    return scores, labels


def entropy(p: torch.Tensor) -> torch.Tensor:
    return -(p * p.clamp(min=1e-300).log()).sum(dim=-1)


def exact_cmi(log_p: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    q = class_means(class_sums(log_p.exp(), labels, classes))
    return kl_to_centroids(log_p, labels, q).mean()


@pytest.mark.parametrize("seed", range(5))
def test_cmi_is_the_entropy_of_the_centroid_less_that_of_the_samples(seed):
    scores, labels = random_scores(seed)
    p = scores.softmax(dim=-1)
    by_class = sum(
        (labels == y).double().mean() * (entropy(p[labels == y].mean(dim=0)) - entropy(p[labels == y]).mean())
        for y in range(3)
    )  # sum of pi_y times the Jensen-Shannon divergence of class y
    assert measure(scores, labels, 3).cmi == pytest.approx(float(by_class), abs=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.1, 5))
@settings(deadline=None, max_examples=30)
def test_equal_predictions_within_classes_have_no_cmi(seed, dimension, tau):
    scores, labels = random_scores(seed, dimension=dimension, scale=4)
    assert measure(scores[:3][labels], labels, 3, tau).cmi == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_one_hot_predictions_at_chance_have_cmi_log_c(classes):
    labels = torch.arange(classes).repeat_interleave(classes)
    predictions = torch.arange(classes).repeat(classes)
    scores = 100.0 * torch.nn.functional.one_hot(predictions, classes).double()
    assert measure(scores, labels, classes).cmi == pytest.approx(math.log(classes), abs=1e-9)


@pytest.mark.parametrize(("classes", "bound"), [(2, 0.2231), (3, math.log(3 / 2))])
def test_cmi_of_right_predictions_stays_below_its_bound(classes, bound):
    """The extreme mixes, at a share s, sure samples with samples that only just prefer their label."""
    assert math.log((classes + 3) / 4) == pytest.approx(bound, abs=5e-5)
    found = []
    for unsure in range(1, 100):
        sure = torch.zeros(100, classes, dtype=torch.float64)
        sure[unsure:, 0] = 200.0
        # Unsure samples split their probability evenly between the label and one other class, each in turn.
        others = 1 + torch.arange(unsure) % (classes - 1)
        sure[torch.arange(unsure), 0], sure[torch.arange(unsure), others] = 100.001, 100.0
        found.append(measure(sure, torch.zeros(100, dtype=torch.long), classes).cmi)
    assert max(found) <= bound + 1e-6
    assert max(found) > 0.97 * bound


@pytest.mark.parametrize("errors", [False, True])
def test_cmi_above_the_bound_proves_errors(errors):
    labels = torch.zeros(100, dtype=torch.long)
    scores = torch.zeros(100, 2, dtype=torch.float64)
    scores[:40, 1] = 20.0 if errors else 0.0
    scores[40:, 0] = 20.0
    assert (measure(scores, labels, 2).cmi > math.log(5 / 4)) == errors


@given(st.integers(0, 10**6), st.integers(2, 5), st.floats(0.1, 5))
@settings(deadline=None, max_examples=50)
def test_cmi_lies_between_0_and_the_log_of_the_dimension(seed, dimension, tau):
    scores, labels = random_scores(seed, dimension=dimension, scale=5)
    assert 0 <= measure(scores, labels, 3, tau).cmi <= math.log(dimension) + 1e-12


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_order_of_samples_and_names_of_classes_do_not_matter(seed):
    scores, labels = random_scores(seed)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    renamed = torch.tensor([2, 0, 1])[labels]
    for other in (measure(scores[order], labels[order], 3), measure(scores, renamed, 3)):
        assert other == pytest.approx(measure(scores, labels, 3), rel=1e-10)


def test_separation_is_the_mean_over_pairs_of_different_labels():
    scores, labels = random_scores(3, rows=12)
    log_p = log_probabilities(scores, 1.0)
    different = labels[:, None] != labels[None, :]
    cross_entropy = -(log_p.exp() @ log_p.T)
    pairs = (cross_entropy * different).sum() / len(labels) ** 2
    mean_times_probability = cross_entropy[different].mean() * different.double().mean()
    assert separation(log_p, labels, 3).item() == pytest.approx(pairs.item(), rel=1e-12)
    assert separation(log_p, labels, 3).item() == pytest.approx(mean_times_probability.item(), rel=1e-12)


def test_ncmi_is_the_ratio_and_0_where_there_is_one_class():
    scores, labels = random_scores(4)
    measures = measure(scores, labels, 3)
    assert measures.ncmi == pytest.approx(measures.cmi / measures.gamma)
    assert measure(scores, torch.zeros_like(labels), 3).ncmi == 0


def test_gradient_of_a_samples_kl_has_the_closed_form():
    scores, labels = random_scores(5)
    q = class_means(class_sums(scores.softmax(dim=-1), labels, 3))
    logits = scores[:1].clone().requires_grad_()
    log_p = log_probabilities(logits, 1.0)
    kl = kl_to_centroids(log_p, labels[:1], q).sum()
    kl.backward()
    p, log_ratio = log_p.exp().detach(), (log_p.detach() - q[labels[:1]].log())
    assert logits.grad == pytest.approx((p * (log_ratio - kl.item())), abs=1e-12)


def test_same_batch_centroids_need_no_gradient():
    """Envelope theorem: the centroid minimises the mean KL, so its own gradient vanishes (to 1e-8)."""
    scores, labels = random_scores(6)
    gradients = []
    for detached in (True, False):
        logits = scores.clone().requires_grad_()
        log_p = log_probabilities(logits, 1.0)
        q = class_means(class_sums(log_p.exp(), labels, 3))
        kl_to_centroids(log_p, labels, q.detach() if detached else q).mean().backward()
        gradients.append(logits.grad)
    assert (gradients[0] - gradients[1]).abs().max() < 1e-8
    assert gradients[0].abs().max() > 1e-4


def test_cmi_and_separation_pass_finite_differences():
    scores, labels = random_scores(7, rows=8)
    q = class_means(class_sums(scores.softmax(dim=-1), labels, 3))
    assert gradcheck(lambda s: kl_to_centroids(log_probabilities(s, 0.7), labels, q), scores.clone().requires_grad_())
    assert gradcheck(lambda s: separation(log_probabilities(s, 0.7), labels, 3), scores.clone().requires_grad_())


@pytest.mark.parametrize(("deviation", "expected", "tolerance"), [(0.1, 0.005, 2e-4), (0.5, 0.125, 0.02)])
def test_feature_cmi_is_half_the_variance_of_small_features(deviation, expected, tolerance):
    features = deviation * torch.randn(400, 384, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    assert measure(features, torch.zeros(400, dtype=torch.long), 1).cmi == pytest.approx(expected, abs=tolerance)


def test_tanh_features_cannot_exceed_their_cmi():
    """The supremum over features in [-1, 1] is 0.4745 nats, reached with a share of dimensions at 1, others at -1."""
    found = []
    for ones in range(1, 200):
        # All rotations of one vector: the centroid is uniform, so CMI is log d - H(p).
        p = torch.cat([torch.ones(ones), -torch.ones(200 - ones)]).double().softmax(dim=0)
        found.append(math.log(200) - entropy(p).item())
    assert max(found) == pytest.approx(0.4745, abs=5e-4)
    corners = torch.randint(2, (300, 64), generator=torch.Generator().manual_seed(9)).double() * 2 - 1
    assert measure(corners, torch.zeros(300, dtype=torch.long), 1).cmi <= 0.4745


@pytest.mark.parametrize("n", [4, 16])
def test_batch_centroids_bias_cmi_by_1_minus_1_over_n(n):
    """To first order in the spread; simulation gives 0.80 to 0.87 at n = 16 for confident models, 1 - 1/n otherwise."""
    generator = torch.Generator().manual_seed(10)
    population = 0.2 * torch.randn(20000, 3, generator=generator, dtype=torch.float64)
    labels = torch.zeros(len(population), dtype=torch.long)
    whole = measure(population, labels, 1).cmi
    batches = [measure(batch, labels[:n], 1).cmi for batch in population.split(n)]
    assert sum(batches) / len(batches) / whole == pytest.approx(1 - 1 / n, abs=0.01)


def test_cmi_is_not_monotone_in_temperature():
    """Right predictions of one class: all one-hot as tau falls to 0, all uniform as it grows, spread in between."""
    scores = torch.tensor([[1.0, 0.0], [8.0, 0.0]], dtype=torch.float64)
    labels = torch.zeros(2, dtype=torch.long)
    cold, middle, hot = (measure(scores, labels, 1, tau).cmi for tau in (0.05, 1.0, 50.0))
    assert cold < 1e-6
    assert hot < 0.01
    assert middle > 0.05
