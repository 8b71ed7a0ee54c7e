"""Batches passed in parts, and activations computed again: what each does to the numbers."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from src.core.method.batch import NO_LABEL, Batch
from src.core.method.cmi import ClassSums
from src.core.method.objectives import RunObjective
from src.core.method.spaces import Outputs
from src.core.models.classifier import load_classifier
from src.core.speed.recompute import recompute_activations
from src.core.training import refusals
from src.core.training.refusals import check_fit
from src.params import ModelSource, Objective
from src.runs import RunName
from src.system.errors import UserError
from tests.support.objectives import BASE
from tests.support.training import SETTINGS, task_of_100_rows, trained

ROWS, LABELS = 12, torch.tensor([0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 2])


def scores(seed: int, width: int) -> Tensor:
    return torch.randn(ROWS, width, generator=torch.Generator().manual_seed(seed))


def gradients(parts: int, labels: Tensor = LABELS, **settings: object) -> tuple[Tensor, Tensor]:
    """Of the loss of 12 rows with respect to logits and features, the parts one after the other."""
    objective = RunObjective(Objective(**{**BASE, **settings}), 3, parts=parts)
    objective.start_epoch(0, lambda values: ClassSums(torch.full((3, 3), 1.0), torch.full((3,), 3.0)))
    logits, features, teacher = scores(0, 3).requires_grad_(), scores(1, 3).requires_grad_(), scores(2, 3)
    for rows in torch.arange(ROWS).tensor_split(parts):
        own = labels[rows]
        batch = Batch(own, teacher[rows], ROWS, int((labels != NO_LABEL).sum()), int((own != NO_LABEL).sum()))
        objective(Outputs(logits[rows], features[rows]), batch).total.backward()
    return logits.grad, features.grad


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"label_smoothing": 0.1, "confidence_penalty": 0.2},
        {"label_loss": "mse"},
        {"alpha": 0.7, "temperature": 2.0},
        {"alpha": 0.7, "kd_loss": "logit_std"},
        {"cmi_weight": 2.0, "centroid": "epoch"},
        {"cmi_weight": -2.0, "centroid": "frozen", "space": "class"},
        {"centre_weight": 0.5, "centre_map": "unit", "centroid": "epoch"},
    ],
)
def test_parts_give_the_gradients_of_the_batch(parts, settings):
    for part, whole in zip(gradients(parts, **settings), gradients(1, **settings), strict=True):
        assert part is whole is None or torch.allclose(part, whole, atol=1e-7)


def test_rows_without_a_label_count_as_in_the_batch():
    labels = LABELS.where(torch.arange(ROWS) < 7, NO_LABEL)
    settings = {"alpha": 0.5, "temperature": 2.0, "cmi_weight": 0.7, "centroid": "frozen"}
    for part, whole in zip(gradients(2, labels, **settings), gradients(1, labels, **settings), strict=True):
        assert torch.allclose(part, whole, atol=1e-7)


def test_with_centroids_of_the_batch_each_part_has_its_own():
    """The mean of two parts' own losses is the loss of the batch in two parts."""
    settings = {"cmi_weight": 1.0, "separation_weight": 0.5, "centroid": "batch", "space": "class"}
    logits = scores(0, 3).requires_grad_()
    for rows in torch.arange(ROWS).tensor_split(2):
        own = RunObjective(Objective(**{**BASE, **settings}), 3)(
            Outputs(logits[rows], logits[rows]), Batch(LABELS[rows])
        )
        (own.total / 2).backward()
    assert torch.allclose(gradients(2, **settings)[0], logits.grad, atol=1e-7)
    assert not torch.allclose(gradients(1, **settings)[0], logits.grad, atol=1e-4)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_ema_centroids_forget_as_fast_as_without_parts(parts):
    """A batch has gathered the weight 1 - momentum = 0.1, in how many parts it ever came."""
    objective = RunObjective(Objective(**{**BASE, "centroid": "ema", "momentum": 0.9}), 3, parts=parts)
    for _ in range(parts):
        objective(Outputs(torch.zeros(3, 3), torch.zeros(3, 3)), Batch(LABELS[:3], None, 3 * parts, 3 * parts, 3))
    assert objective.terms["cmi"].centroids[0].weight.tolist() == pytest.approx(3 * [0.1], abs=1e-6)


def test_a_model_learns_from_parts_what_it_learns_from_the_batch(tiny_encoder, tmp_path):
    """Without dropout, whose masks are drawn part by part."""
    shutil.copytree(tiny_encoder.name, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "config.json").write_text(json.dumps(config | none))
    source, two = ModelSource(source="folder", name=str(tmp_path)), {"epochs": 1, "accumulate": 2}
    whole = trained(source, SETTINGS.model_copy(update={"epochs": 1}), cmi_weight=1.0, centroid="epoch")
    parts = trained(source, SETTINGS.model_copy(update=two), cmi_weight=1.0, centroid="epoch")
    assert parts[1].steps == whole[1].steps == 10
    whole[1].history[0].pop("loss_gamma")  # of pairs within a part
    for key, value in whole[1].history[0].items():
        assert parts[1].history[0][key] == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("name", ["tiny_encoder", "tiny_distilbert", "tiny_decoder"])
def test_activations_computed_again_change_no_bit(name, request):
    source = request.getfixturevalue(name)
    kept = trained(source, SETTINGS, cmi_weight=1.0)
    again = trained(source, SETTINGS, recomputed=True, cmi_weight=1.0)
    assert again[0].model.is_activation_checkpointing
    assert again[1].history == kept[1].history
    assert all(torch.equal(one, other) for one, other in zip(again[0].parameters(), kept[0].parameters(), strict=True))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"training": {"batch_size": 8, "accumulate": 5}},
            "batch_size 8 leaves some of 5 parts of a batch without",
        ),
        (
            {"training": {"batch_size": 128, "accumulate": 51}},
            "train_share 1.0 of 100 train rows leaves some of 51 parts of a batch without rows; raise it to at least ",
        ),
        (
            {"training": {"accumulate": 2}, "objective": {"alpha": 0.5, "kd_loss": "dist"}},
            "kd_loss dist is not defined over several processes or parts of a batch; allowed here: kl",
        ),
    ],
)
def test_parts_that_a_run_cannot_have_are_refused(params, changes, said):
    settings = params.distilled_student("vader-movie", "kd")
    settings = replace(
        settings,
        **{section: getattr(settings, section).model_copy(update=values) for section, values in changes.items()},
    )
    task = task_of_100_rows()
    with pytest.raises(UserError, match=said):
        check_fit(RunName("vader-movie", "student", "kd-ce", 0), task, settings, 1)


def test_parts_are_refused_where_graphs_would_add_them_up_wrongly(params, monkeypatch):
    monkeypatch.setattr(refusals, "uses_cuda_graphs", lambda runtime: True)  # as on an NVIDIA GPU
    settings = params.teacher("vader-movie", "ce")
    settings = replace(settings, training=settings.training.model_copy(update={"accumulate": 2}))
    task = task_of_100_rows()
    with pytest.raises(UserError, match="cuda_graphs is true and accumulate is above 1; set cuda_graphs to false"):
        check_fit(RunName("vader-movie", "teacher", "ce", 0), task, settings, 1)


def test_a_model_that_cannot_compute_again_is_refused(tiny_encoder, monkeypatch):
    model = load_classifier(tiny_encoder, ["a", "b"], 0, 0).model
    monkeypatch.setattr(type(model), "supports_gradient_checkpointing", False)
    with pytest.raises(
        UserError, match=r"recompute: .* is a bert model, whose activations cannot be recomputed; set it to false"
    ):
        recompute_activations(tiny_encoder, model)
