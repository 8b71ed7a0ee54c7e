"""The loss of a run: every weight moves it, and its values are those of the definitions."""

import math
from itertools import pairwise
from typing import Literal, get_args, get_origin

import pytest
import torch

from src.core.method.batch import NO_LABEL, Batch
from src.core.method.centroids import CENTROIDS
from src.core.method.cmi import class_means, class_sums, log_probabilities, measure
from src.core.method.losses import (
    CENTRE_MAPS,
    KD_LOSSES,
    entropies,
    kd_kl,
    label_loss,
)
from src.core.method.objectives import RunObjective
from src.core.method.spaces import Outputs
from src.core.method.terms import TERMS
from src.core.method.terms.outputs import LabelLoss
from src.params import CentreMap, Centroid, KdLoss, Objective
from tests.support.objectives import BASE, COMMITTED, batch, loss

CHANGES = {
    "plain": {},
    "cmi_weight": {"cmi_weight": 0.5},
    "cmi_weight below 0": {"cmi_weight": -0.5},
    "space": {"cmi_weight": 0.5, "space": "class"},
    "tau": {"cmi_weight": 0.5, "tau": 2.0},
    "feature_map unit_softmax": {"cmi_weight": 5.0, "feature_map": "unit_softmax"},
    "feature_map unit_sigmoid": {"cmi_weight": 5.0, "feature_map": "unit_sigmoid", "tau": 0.1},
    "cmi_unit": {"cmi_weight": 0.5, "cmi_unit": 0.1},
    "cmi_warmup": {"cmi_weight": 0.5, "cmi_warmup": 0.5},
    "separation_weight": {"separation_weight": 0.5},
    "clusters": {"cmi_weight": 0.5, "clusters": "all"},
    "centre_weight": {"centre_weight": 0.01},
    "centre_map": {"centre_weight": 0.3, "centre_map": "unit"},
    "norm_penalty": {"norm_penalty": 0.01},
    "contrastive_weight": {"contrastive_weight": 0.1},
    "contrastive_tau": {"contrastive_weight": 0.1, "contrastive_tau": 0.5},
    "r_drop_weight": {"r_drop_weight": 0.25},  # the last six rows are taken for the second pass of the first six
    "label_loss": {"label_loss": "mse"},
    "label_smoothing": {"label_smoothing": 0.1},
    "confidence_penalty": {"confidence_penalty": 0.1},
    "alpha": {"alpha": 0.9, "teacher": True},
    "another alpha": {"alpha": 0.5, "teacher": True},
    "temperature": {"alpha": 0.9, "temperature": 2.0, "teacher": True},
    "kd_loss logit_std": {"alpha": 0.9, "kd_loss": "logit_std", "teacher": True},
    "kd_loss dist": {"alpha": 0.9, "kd_loss": "dist", "teacher": True},
    "kd_loss ttm": {"alpha": 0.9, "kd_loss": "ttm", "temperature": 2.0, "teacher": True},
    "kd_loss wttm": {"alpha": 0.9, "kd_loss": "wttm", "temperature": 2.0, "teacher": True},
    "taus": {"cmi_weight": 0.5, "taus": [0.5, 2.0]},
    "ncmi_weight": {"ncmi_weight": 0.5},
    "label_weight": {"label_weight": 0.6},
    "relation_weight": {"alpha": 0.9, "relation_weight": 0.4, "teacher": True},
}
# The loss of each is fixed in tests/fixtures/losses.json: float32 on the batch of `batch()`, a quarter of the way
# through a run. A new value comes from a formula of its own on that batch, not from the function under test.


def test_every_weight_moves_the_loss():
    """No two settings share a value: nothing in params is without effect."""
    values = sorted(loss(**change) for change in CHANGES.values())
    assert min(after - before for before, after in pairwise(values)) > 1e-4


@pytest.mark.parametrize("name", CHANGES)
def test_losses_are_the_committed_ones(name):
    assert loss(**CHANGES[name]) == pytest.approx(COMMITTED[name], rel=1e-5)


def test_the_sign_of_cmi_weight_says_minimise_when_positive():
    outputs, labels, _ = batch()
    for space in ("class", "feature"):
        cmi = measure(outputs.logits if space == "class" else outputs.features, labels, 3).cmi
        assert loss(cmi_weight=2.0, space=space) == pytest.approx(loss() + 2 * cmi, rel=1e-5)
        assert loss(cmi_weight=-2.0, space=space) == pytest.approx(loss() - 2 * cmi, rel=1e-5)


def test_separation_is_maximised():
    outputs, labels, _ = batch()
    gamma = measure(outputs.features, labels, 3).gamma
    assert loss(separation_weight=0.7) == pytest.approx(loss() - 0.7 * gamma, rel=1e-5)


def test_one_centroid_for_all_rows_gives_cmi_and_what_the_classes_are_apart():
    """I(X; Z) = I(X; Z | Y) + I(Y; Z), the latter being the mean KL of the class centroids to that of all."""
    outputs, labels, _ = batch(rows=11)
    log_p = outputs.features.double().log_softmax(-1)
    q = class_means(class_sums(log_p.exp(), labels, 3))
    all_rows = log_p.exp().mean(0)
    apart = sum((labels == y).double().mean() * (q[y] * (q[y] / all_rows).log()).sum() for y in range(3)).item()
    settings = Objective(**{**BASE, "clusters": "all", "cmi_weight": 1.0})
    found = RunObjective(settings, 3)(outputs, Batch(labels)).terms["cmi"].item()
    assert found == pytest.approx(measure(outputs.features, labels, 3).cmi + apart, rel=1e-5)
    shuffled = RunObjective(settings, 3)(outputs, Batch(labels.roll(1))).terms["cmi"].item()
    assert found == pytest.approx(shuffled, rel=1e-6)


def test_a_weight_of_0_leaves_no_gradient_in_the_features():
    outputs, labels, _ = batch()
    features = outputs.features.clone().requires_grad_()
    logits = outputs.logits.clone().requires_grad_()
    RunObjective(Objective(**BASE), 3)(Outputs(logits, features), Batch(labels)).total.backward()
    assert features.grad is None
    assert logits.grad is not None


def test_cmi_weight_rises_over_its_warmup():
    cmi = RunObjective(Objective(**{**BASE, "cmi_weight": -2.0, "cmi_warmup": 0.5}), 3).terms["cmi"]
    weights = [cmi.weight(Batch(torch.zeros(1), progress=progress)) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert weights == [0.0, -1.0, -2.0, -2.0]


def test_cmi_in_units_of_itself_costs_its_weight():
    outputs, labels, _ = batch()
    cmi = measure(outputs.features, labels, 3).cmi
    assert loss(cmi_weight=0.1, cmi_unit=cmi) == pytest.approx(loss() + 0.1, rel=1e-5)


def test_label_losses_have_their_closed_forms():
    """p = (0.8, 0.2), label 0: CE = -ln 0.8; smoothed by 0.1: -(0.95 ln 0.8 + 0.05 ln 0.2); MSE = 0.04 + 0.04."""
    logits, labels = torch.tensor([[math.log(4.0), 0.0]]), torch.tensor([0])

    def value(**settings) -> float:
        return label_loss(logits, labels, Objective(**{**BASE, **settings})).item()

    assert value() == pytest.approx(0.22314, abs=1e-5)
    assert value(label_smoothing=0.1) == pytest.approx(0.29246, abs=1e-5)
    assert value(label_loss="mse") == pytest.approx(0.08, abs=1e-6)
    assert entropies(logits).item() == pytest.approx(0.50040, abs=1e-5)


def test_confidence_penalty_rewards_entropy():
    outputs, _, _ = batch()
    entropy = entropies(outputs.logits).mean().item()
    assert loss(confidence_penalty=0.2) == pytest.approx(loss() - 0.2 * entropy, rel=1e-5)


def test_up_to_a_temperature_of_10_logits_stay_in_float32():
    """So that runs at the usual temperatures keep their bits."""
    logits = batch()[0].logits
    assert torch.equal(log_probabilities(logits, 2.0), torch.log_softmax(logits / 2, dim=-1))
    assert [log_probabilities(logits, tau).dtype for tau in (10.0, 10.5)] == [torch.float32, torch.float64]


def test_every_name_that_params_allow_has_its_function():
    assert set(KD_LOSSES) == set(get_args(KdLoss))
    assert set(CENTROIDS) == set(get_args(Centroid))
    assert set(CENTRE_MAPS) == set(get_args(CentreMap))


def test_every_key_name_and_term_of_the_objective_is_among_the_changes():
    """So that the tests that go through `CHANGES` try a new one too.

    In a single first batch all rules for centroids give the same loss: tests/unit/test_centroids.py has them.
    """
    fields = {key: field for key, field in Objective.model_fields.items() if key not in ("transfer", "momentum")}
    settings = [{key: value for key, value in change.items() if key != "teacher"} for change in CHANGES.values()]
    for key in fields.keys() - {"centroid"}:
        given = [change[key] for change in settings if key in change]
        assert given, key
        if get_origin(fields[key].annotation) is Literal:
            assert {*given, BASE.get(key, fields[key].default)} == {*get_args(fields[key].annotation)}, key
    objectives, terms = [Objective(**{**BASE, **change}) for change in settings], {*TERMS} - {LabelLoss}
    assert {term for term in terms if any(map(term.is_weighted, objectives))} == terms


def test_rare_keys_at_their_defaults_are_not_in_records():
    """So that records of before these keys keep their bytes."""
    assert set(Objective(**BASE).model_dump()) == {*BASE, "kd_loss", "transfer"}


def test_rows_without_a_label_take_part_in_kd_alone():
    weights = {"cmi_weight": 0.7, "separation_weight": 0.3, "centre_weight": 0.02, "norm_penalty": 0.01}
    settings = Objective(**{**BASE, "alpha": 0.5, "ncmi_weight": 0.4, **weights})
    outputs, labels, teacher = batch()
    hidden = labels.clone()
    hidden[8:] = NO_LABEL
    terms = RunObjective(settings, 3)(outputs, Batch(hidden, teacher, 12, 8))
    known = RunObjective(settings, 3)(Outputs(*(values[:8] for values in outputs)), Batch(labels[:8], teacher[:8]))
    for name in ("label", "cmi", "gamma", "entropy", "centre", "norm", "ncmi"):
        assert terms.terms[name].item() == pytest.approx(known.terms[name].item(), rel=1e-5)
    assert terms.terms["kd"].item() == pytest.approx(kd_kl(outputs.logits, teacher, 1.0).mean().item(), rel=1e-5)
    nothing = RunObjective(settings, 3)(outputs, Batch(torch.full((12,), NO_LABEL), teacher, 12, 0))
    assert nothing.total.item() == pytest.approx(0.5 * terms.terms["kd"].item(), rel=1e-5)


def best_free_logits(weight: float, rows: int = 200) -> tuple[float, float]:
    """The share of samples that leave their cluster, and their logit margin, where CE - weight CMI is least.

    C = 2, free logits, exact centroid. Maximising CMI makes each cluster one of sure samples and of a share at one
    other point; the objective itself is minimised over both on a grid.
    """
    objective = RunObjective(Objective(**{**BASE, "space": "class", "cmi_weight": -weight}), 2)
    labels, found = torch.zeros(rows, dtype=torch.long), []
    for moved in range(50):
        for margin in torch.linspace(-5, 5, 101).tolist():
            logits = torch.tensor([[40.0, 0.0]], dtype=torch.float64).repeat(rows, 1)
            logits[:moved, 0] = margin
            found.append((objective(Outputs(logits, logits), Batch(labels)).total.item(), moved / rows, margin))
    _, share, margin = min(found)
    return share, margin


SHARES_OF_ERRORS = [(0.40, 0.0), (0.50, 0.03), (2.0, 0.20)]
SHARES_OF_ERRORS += [pytest.param(*case, marks=pytest.mark.slow) for case in ((-1.0, 0.0), (1.0, 0.10))]


@pytest.mark.parametrize(("weight", "errors"), SHARES_OF_ERRORS)
def test_maximising_cmi_costs_errors_beyond_weight_0_4427(weight, errors):
    """All labels are kept up to 1/ln 2 - 1 = 0.4427; beyond, 3 % errors at 0.5, 10 % at 1, 20 % at 2."""
    share, margin = best_free_logits(weight)
    assert (share if margin < 0 else 0.0) == pytest.approx(errors, abs=0.01)


def test_at_the_threshold_the_samples_that_leave_are_undecided():
    assert 1 / math.log(2) - 1 == pytest.approx(0.4427, abs=5e-5)
    share, margin = best_free_logits(1 / math.log(2) - 1)
    assert share > 0
    assert abs(margin) <= 0.2
