"""R-Drop: two passes of each row under dropout masks of their own, in one batch of twice the rows."""

import math

import pytest
import torch
from accelerate import Accelerator
from torch.autograd import gradcheck

from src.core.method.batch import NO_LABEL, Batch, Processes
from src.core.method.losses import kl_between_passes
from src.core.method.objectives import RunObjective
from src.core.method.spaces import Outputs
from src.core.models.classifier import load_classifier
from src.core.speed.dropout import use_cpu_dropout
from src.core.training.loop import Phase, Setup
from src.params import Objective
from tests.support.objectives import BASE, batch
from tests.support.training import SETTINGS, data_for, trained, trained_in

pytestmark = pytest.mark.usefixtures("one_thread")

ONE_EPOCH = SETTINGS.model_copy(update={"epochs": 1})
CPU = torch.device("cpu")


def passes(rows: int = 6) -> tuple[Outputs, Outputs]:
    """Outputs of two passes of the same rows."""
    return batch(1, rows)[0], batch(2, rows)[0]


def joined(one: Outputs, other: Outputs) -> Outputs:
    return Outputs(*(torch.cat(both) for both in zip(one, other, strict=True)))


def test_a_known_pair_has_its_closed_form():
    """(0.8, 0.2) and (0.5, 0.5): 0.8 ln 1.6 + 0.2 ln 0.4 = 0.19274; 0.5 ln(0.5 / 0.8) + 0.5 ln(0.5 / 0.2) = 0.22314."""
    logits = torch.tensor([[math.log(4.0), 0.0], [0.0, 0.0]])
    assert kl_between_passes(logits).tolist() == pytest.approx([0.19274, 0.22314], abs=1e-5)
    assert kl_between_passes(logits[:1].repeat(2, 1)).tolist() == [0, 0]


def test_gradients_flow_through_both_passes_and_pass_finite_differences():
    logits = joined(*passes(3)).logits.double().requires_grad_()
    assert gradcheck(kl_between_passes, logits)
    p, q = logits.softmax(dim=-1).split(3)
    expected = ((p * (p / q).log()).sum() + (q * (q / p).log()).sum()) / 6
    found = kl_between_passes(logits).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    of_both = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (found, expected))
    assert torch.allclose(*of_both, atol=1e-12)


def test_every_other_term_is_the_mean_of_both_passes():
    """The loss on labels, KD and the others of single rows; centres and centroids that no batch moves."""
    settings = {"r_drop_weight": 0.5, "alpha": 0.3, "confidence_penalty": 0.1, "norm_penalty": 0.01}
    one, other = passes()
    labels, teacher = batch(rows=6)[1:]
    both = RunObjective(Objective(**{**BASE, **settings}), 3)
    found = both(joined(one, other), Batch(labels.repeat(2), teacher.repeat(2, 1))).terms
    alone = RunObjective(Objective(**{**BASE, **settings, "r_drop_weight": 0.0}), 3)
    of_each = [alone(outputs, Batch(labels, teacher)).terms for outputs in (one, other)]
    for name in ("label", "kd", "entropy", "norm"):
        expected = sum(terms[name].item() for terms in of_each) / 2
        assert found[name].item() == pytest.approx(expected, rel=1e-6), name
    assert (both.passes, alone.passes) == (2, 1)


def test_a_share_of_a_batch_comes_twice_and_counts_twice(tiny_encoder):
    """Process 1 of 2 has every second row of the part; rows without a label stay in their places."""
    train = data_for(tiny_encoder).train
    train.labels[[3, 8]] = NO_LABEL
    rows, part = torch.arange(10), torch.arange(5)
    inputs, twice = train.batch(rows, 1, 2, 0.0, CPU, part, passes=2)
    single, once = train.batch(rows, 1, 2, 0.0, CPU, part)
    assert twice.labels.tolist() == train.labels[[1, 3, 1, 3]].tolist()
    for name, values in inputs.items():
        assert torch.equal(values, single[name].repeat(2, 1))
    for counted in ("global_rows", "global_labelled", "part_labelled"):
        assert getattr(twice, counted) == 2 * getattr(once, counted)
    assert (twice.global_rows, twice.global_labelled, twice.part_labelled) == (20, 16, 8)


def test_rows_without_a_label_are_not_compared():
    one, other = passes()
    labels = torch.arange(6) % 3
    hidden = labels.clone()
    hidden[[1, 4]] = NO_LABEL
    objective = RunObjective(Objective(**{**BASE, "r_drop_weight": 1.0}), 3)
    found = objective(joined(one, other), Batch(hidden.repeat(2), None, 12, 8)).terms["r_drop"].item()
    known = [Outputs(*(values[hidden != NO_LABEL] for values in outputs)) for outputs in (one, other)]
    alone = objective(joined(*known), Batch(labels[hidden != NO_LABEL].repeat(2))).terms["r_drop"].item()
    assert found == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("own_rows", [[1, 4], [0, 3, 5]])
def test_parts_and_processes_give_the_gradients_of_one(own_rows):
    """Parts add up; data-parallel training averages. Each has both passes of its own rows."""
    settings = Objective(**{**BASE, "r_drop_weight": 0.7, "confidence_penalty": 0.1})
    outputs, labels = joined(*passes()), (torch.arange(6) % 3).repeat(2)
    groups = [torch.tensor(own_rows), torch.tensor([row for row in range(6) if row not in own_rows])]

    def gradient(rows: torch.Tensor, processes: int) -> torch.Tensor:
        both = torch.cat([rows, rows + 6])
        logits = outputs.logits.clone().requires_grad_()
        own = Batch(labels[both], None, 12, 12, len(both))
        objective = RunObjective(settings, 3, Processes(processes))
        objective(Outputs(logits[both], outputs.features[both]), own).total.backward()
        return logits.grad / processes

    for processes in (1, 2):
        together = gradient(groups[0], processes) + gradient(groups[1], processes)
        assert torch.allclose(together, gradient(torch.arange(6), 1), atol=1e-7)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", ["tiny_encoder", "tiny_decoder"])
def test_both_passes_of_a_step_have_masks_of_their_own(name, fast, request):
    """The outputs of a real step; without dropout both passes are equal."""
    source = request.getfixturevalue(name)
    model = load_classifier(source, ["negative", "positive"], 0, 0)
    if fast:
        use_cpu_dropout(model.model)
    setup = Setup(model, data_for(source), 0, Accelerator(cpu=True))
    phase = Phase(setup, Objective(**{**BASE, "r_drop_weight": 1.0}), ONE_EPOCH, 0, [], 0)
    seen, rows = [], torch.arange(16)
    model.train().register_forward_hook(lambda *of_a_pass: seen.append(of_a_pass[-1]))
    phase._step(rows)
    first, second = seen[0].logits.split(16)
    assert (first - second).abs().amax(dim=1).min() > 1e-6
    model.eval()
    with torch.no_grad():
        inputs, _ = setup.data.train.batch(rows, 0, 1, 0.0, CPU, passes=2)
        assert torch.allclose(*model(**inputs).logits.split(16), atol=1e-6)


def test_a_weight_brings_the_passes_together(tiny_encoder):
    """From the same start, the KL of the last epoch is less than where it weighs next to nothing."""
    free, bound = (trained(tiny_encoder, r_drop_weight=weight)[1] for weight in (1e-9, 500.0))
    assert free.steps == bound.steps == 40
    assert 0 < bound.history[-1]["loss_r_drop"] < 0.5 * free.history[-1]["loss_r_drop"]


def test_runs_in_half_precision_go_as_in_fp32_but_for_rounding(tiny_encoder):
    runs = [trained_in(tiny_encoder, which, ONE_EPOCH, r_drop_weight=0.5)[1] for which in ("fp32", "bf16", "fp16")]
    exact, *halves = (run.history[0] for run in runs)
    for rounded in halves:
        assert rounded["selection_nll"] != exact["selection_nll"]
        for key in ("loss_total", "loss_r_drop", "selection_nll"):
            assert rounded[key] == pytest.approx(exact[key], abs=0.03), key
