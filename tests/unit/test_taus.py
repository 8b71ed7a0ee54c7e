"""CMI of several temperatures at once (CMIM): the mean over them, each with centroids of its own."""

import pytest
import torch

from src.core.method.batch import Batch, Processes
from src.core.method.centroids import CENTROIDS
from src.core.method.cmi import class_sums, measure
from src.core.method.objectives import RunObjective
from src.core.method.spaces import Outputs
from src.params import Objective
from tests.support.objectives import BASE, batch

LABELS = torch.arange(12) % 3
TAUS = [0.5, 1.0, 2.0, 4.0]


def run_of(**settings) -> RunObjective:
    return RunObjective(Objective(**{**BASE, "space": "class", "cmi_weight": 0.5, **settings}), 3)


def start(run: RunObjective, outputs: Outputs) -> RunObjective:
    run.start_epoch(0, lambda values: class_sums(values(outputs), LABELS, 3))
    return run


@pytest.mark.parametrize("centroid", CENTROIDS)
@pytest.mark.parametrize("space", ["class", "feature"])
def test_it_is_the_mean_of_cmi_at_each(space, centroid):
    """In a first batch of all rows every rule has the exact centroids."""
    outputs, _, _ = batch()
    run = start(run_of(space=space, centroid=centroid, taus=TAUS), outputs)
    scores = outputs.logits if space == "class" else outputs.features
    expected = sum(measure(scores, LABELS, 3, tau).cmi for tau in TAUS) / 4
    assert run(outputs, Batch(LABELS)).terms["cmi"].item() == pytest.approx(expected, rel=1e-5)


def test_one_of_them_is_tau_to_the_bit():
    outputs, _, _ = batch()
    found = []
    for settings in ({"tau": 2.0}, {"taus": [2.0]}, {"tau": 2.0, "taus": []}):
        logits = outputs.logits.clone().requires_grad_()
        total = run_of(**settings)(Outputs(logits, outputs.features), Batch(LABELS)).total
        found.append((total, *torch.autograd.grad(total, logits)))
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


def test_gamma_and_ncmi_stay_at_tau():
    outputs, _, _ = batch()
    both = [run_of(ncmi_weight=1.0, taus=taus)(outputs, Batch(LABELS)).terms for taus in ([], TAUS)]
    for name in ("gamma", "ncmi"):
        assert torch.equal(both[0][name], both[1][name])


def test_the_mean_of_a_unit_map_takes_in_a_batch_once():
    outputs, _, _ = batch()
    one, several = (run_of(space="feature", feature_map="unit_softmax", taus=taus) for taus in ([], TAUS))
    for run in (one, several):
        run(outputs, Batch(LABELS))
    assert torch.equal(one.space.centre.weight, several.space.centre.weight)


@pytest.mark.parametrize("centroid", CENTROIDS)
def test_two_processes_give_the_gradients_of_one(centroid):
    """Parts of unequal size; the other process adds its sums in the order in which they are asked for."""
    outputs, _, _ = batch(rows=9)
    split, _, _ = batch(seed=1)  # of 12 rows
    labels, parts = torch.arange(9) % 3, [torch.tensor([0, 3, 6, 1]), torch.tensor([2, 4, 5, 7, 8])]

    def gradient(rows: torch.Tensor, processes: Processes) -> torch.Tensor:
        leaf = outputs.logits[rows].clone().requires_grad_()
        run = RunObjective(
            Objective(**{**BASE, "space": "class", "cmi_weight": 0.5, "centroid": centroid, "taus": [1.0, 2.0]}),
            3,
            processes,
        )
        start(run, split)
        run(Outputs(leaf, outputs.features[rows]), Batch(labels[rows], global_rows=9)).total.backward()
        return leaf.grad

    whole = gradient(torch.arange(9), Processes())
    for own, other in (parts, parts[::-1]):
        log_p = [(outputs.logits[other] / tau).log_softmax(1) for tau in (1.0, 2.0)]
        asked = (log_p[0].exp(), log_p[1].exp(), log_p[0])  # the last one for Gamma
        sums = iter([part for values in asked for part in class_sums(values, labels[other], 3)])
        found = gradient(own, Processes(2, lambda local, sums=sums: local + next(sums)))
        assert torch.allclose(found / 2, whole[own], atol=1e-6)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_outputs_in_half_precision_are_taken_in_float32(precision):
    """At the lowest temperature, a probability rounded to bf16 would be off by up to 0.004."""
    outputs, _, _ = batch()
    rounded = outputs.logits.to(precision)
    found = run_of(taus=TAUS)(Outputs(rounded, outputs.features), Batch(LABELS)).terms["cmi"]
    exact = run_of(taus=TAUS)(Outputs(rounded.double(), outputs.features), Batch(LABELS)).terms["cmi"]
    assert found.item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize("centroid", ["epoch", "frozen"])
def test_parts_of_a_batch_add_up_to_its_gradient(centroid):
    outputs, _, _ = batch()
    run = start(run_of(taus=TAUS, centroid=centroid), outputs)

    def gradient(rows: torch.Tensor) -> torch.Tensor:
        leaf = outputs.logits[rows].clone().requires_grad_()
        run(Outputs(leaf, outputs.features[rows]), Batch(LABELS[rows], global_rows=12)).total.backward()
        return leaf.grad

    whole = gradient(torch.arange(12))
    parts = [gradient(torch.arange(first, first + 4)) for first in (0, 4, 8)]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


@pytest.mark.parametrize("centroid", CENTROIDS)
def test_the_centroids_of_each_go_on_where_they_were_saved(centroid):
    outputs, _, _ = batch()
    whole, resumed = start(run_of(taus=TAUS, centroid=centroid), outputs), run_of(taus=TAUS, centroid=centroid)
    whole(outputs, Batch(LABELS))
    assert len([name for name in whole.state_dict() if name.startswith("centroids at")]) == 4
    resumed.load_state_dict(whole.state_dict(), torch.device("cpu"))
    later, _, _ = batch(seed=1)
    assert torch.equal(whole(later, Batch(LABELS)).total, resumed(later, Batch(LABELS)).total)
