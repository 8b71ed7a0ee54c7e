"""The training loop on a small real model: it learns, repeats bit for bit, pairs its arms, and stops on NaN."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from accelerate import Accelerator
from transformers import get_linear_schedule_with_warmup

from src.core.machine.randomness import stream_seed
from src.core.method.batch import NO_LABEL
from src.core.method.centroids import CENTROIDS
from src.core.models.classifier import load_classifier
from src.core.training.batches import LabelledTokens
from src.core.training.loop import Setup
from src.core.training.optimisation import rate_after
from src.core.training.phases import train
from src.params import Objective
from src.params.types import KeptEpoch
from tests.support.objectives import BASE
from tests.support.training import SETTINGS, data_for, loaded, trained

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", ["tiny_encoder", "tiny_decoder"])
def test_a_model_learns_the_task(name, request):
    _, result = trained(request.getfixturevalue(name))
    assert max(row["selection_accuracy"] for row in result.history) > 0.9
    assert result.history[-1]["loss_label"] < 0.5 * result.history[0]["loss_label"]
    assert result.steps == 40


def test_two_runs_agree_bit_for_bit(tiny_encoder):
    first, second = trained(tiny_encoder, cmi_weight=1.0), trained(tiny_encoder, cmi_weight=1.0)
    assert first[1].history == second[1].history
    for one, other in zip(first[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("warmup", [0, 1, 5, 50])
def test_the_learning_rate_rises_and_falls_as_that_of_transformers(warmup):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, 50)
    for step in range(50):
        assert rate_after(step, 50, warmup) == optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
    assert rate_after(50, 50, warmup) == 0


def test_a_run_of_one_step_learns_whatever_its_warm_up(tiny_encoder):
    model, before = (loaded(tiny_encoder, stream_seed(0, "head")) for _ in range(2))
    one = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 160, "warmup": 0.9})
    train(Setup(model, data_for(tiny_encoder), 0, Accelerator(cpu=True)), Objective(**BASE), one)
    same = [torch.equal(one, other) for one, other in zip(model.parameters(), before.parameters(), strict=True)]
    assert not any(same)


def test_seeds_differ(tiny_encoder):
    assert trained(tiny_encoder)[1].history != trained(tiny_encoder, seed=1)[1].history


def test_arms_with_one_seed_share_rows_and_dropout(tiny_encoder):
    """With no learning to tell them apart, two arms have the same cross-entropy to the last bit."""
    still = SETTINGS.model_copy(update={"lr": 1e-30, "epochs": 1})
    plain, other = trained(tiny_encoder, still), trained(tiny_encoder, still, cmi_weight=5.0, space="class")
    assert plain[1].history[0]["loss_label"] == other[1].history[0]["loss_label"]
    assert plain[1].history[0]["loss_total"] != other[1].history[0]["loss_total"]


@pytest.mark.parametrize(("space", "weight"), [("class", 0.3), ("feature", 3.0)])
def test_cmi_goes_where_its_weight_points(tiny_encoder, space, weight):
    """On noisy labels, where clusters have a spread to work on."""
    cmi = [
        trained(tiny_encoder, noise=0.2, space=space, cmi_weight=signed)[1].history[-1][f"train_{space}_cmi"]
        for signed in (weight, 0.0, -weight)
    ]
    assert cmi[0] < cmi[1] < cmi[2]


@pytest.mark.parametrize("centroid", CENTROIDS)
def test_every_centroid_trains(tiny_encoder, centroid):
    _, result = trained(tiny_encoder, space="class", centroid=centroid, cmi_weight=0.5)
    assert max(row["selection_accuracy"] for row in result.history) > 0.9


def test_extra_epochs_start_from_the_plain_arm(tiny_encoder):
    """The MCMI recipe: the first epochs are those of the plain arm to the last bit, the rest is the arm's own."""
    plain = trained(tiny_encoder, noise=0.2, space="class")[1]
    extra = SETTINGS.model_copy(update={"epochs": 2, "plain_epochs": SETTINGS.epochs})
    longer = trained(tiny_encoder, extra, noise=0.2, space="class", cmi_weight=-0.5)[1]
    assert longer.history[: SETTINGS.epochs] == plain.history
    assert [row["epoch"] for row in longer.history] == [1, 2, 3, 4, 5, 6]
    assert longer.best_epoch in (5, 6)
    assert longer.steps == plain.steps * 6 / 4
    control = trained(tiny_encoder, extra, noise=0.2, space="class")[1]
    assert longer.history[-1]["train_class_cmi"] > control.history[-1]["train_class_cmi"]


def test_a_student_learns_from_rows_without_labels(tiny_encoder):
    """Four labelled rows and the teacher's word on 156 others: KD on all of them beats KD on the four."""
    data = data_for(tiny_encoder)
    teacher = 6.0 * torch.nn.functional.one_hot(data.train.labels, 2).float()
    labels = data.train.labels.clone()
    labels[4:] = NO_LABEL
    accuracies = []
    for rows in (4, 160):
        split = LabelledTokens(data.train.tokens.first(rows), labels[:rows], teacher[:rows])
        some = replace(data, train=split, diagnostic=split.first(4))
        model = load_classifier(tiny_encoder, ["negative", "positive"], 0, 0)
        wanted = Objective(**{**BASE, "alpha": 0.9, "cmi_weight": 0.1, "centroid": "epoch"})
        result = train(Setup(model, some, 0, Accelerator(cpu=True)), wanted, SETTINGS)
        accuracies.append(result.history[-1]["selection_accuracy"])
    assert accuracies[1] > 0.9
    assert accuracies[0] < 0.8


def test_plain_epochs_leave_out_rows_without_labels(tiny_encoder):
    """32 rows of 160 have a label: two steps of 16 in the plain epoch, ten in the arm's own."""
    data = data_for(tiny_encoder)
    teacher = torch.nn.functional.one_hot(data.train.labels, 2).float()
    labels = data.train.labels.clone()
    labels[32:] = NO_LABEL
    split = LabelledTokens(data.train.tokens, labels, teacher)
    model = load_classifier(tiny_encoder, ["negative", "positive"], 0, 0)
    settings = SETTINGS.model_copy(update={"plain_epochs": 1, "epochs": 1})
    setup = Setup(model, replace(data, train=split, diagnostic=split.first(8)), 0, Accelerator(cpu=True))
    result = train(setup, Objective(**{**BASE, "alpha": 0.9}), settings)
    assert result.steps == 2 + 10


def test_a_student_follows_its_teacher_not_the_labels(tiny_encoder):
    """A teacher that is wrong everywhere, with alpha = 1, makes a student that is wrong."""
    labels = data_for(tiny_encoder).train.labels
    wrong = 6.0 * torch.nn.functional.one_hot(1 - labels, 2).float()
    longer = SETTINGS.model_copy(update={"epochs": 6})
    _, result = trained(tiny_encoder, longer, teacher_logits=wrong, alpha=1.0, temperature=2.0)
    assert result.history[-1]["selection_accuracy"] < 0.1


KEPT = {"best": lambda scores: scores.index(max(scores)), "last": lambda scores: len(scores) - 1}


@pytest.mark.parametrize("rule", get_args(KeptEpoch))
def test_the_epoch_that_the_rule_names_is_kept(tiny_encoder, rule):
    """The best one is not the last one here. The epochs themselves are the same by every rule."""
    from src.core.training.inference import predict

    six = SETTINGS.model_copy(update={"epochs": 6, "lr": 1e-2})
    history = trained(tiny_encoder, six, noise=0.2)[1].history
    model, result = trained(tiny_encoder, six.model_copy(update={"keep_epoch": rule}), noise=0.2)
    scores = [(row["selection_accuracy"], -row["selection_nll"]) for row in history]
    assert scores[-1] < max(scores)
    assert (result.history, result.best_epoch) == (history, 1 + KEPT[rule](scores))
    selection = data_for(tiny_encoder, noise=0.2).selection
    logits = predict(model, selection.tokens, Accelerator(cpu=True)).logits
    loss = torch.nn.functional.cross_entropy(logits.double(), selection.labels)
    assert loss.item() == pytest.approx(-scores[result.best_epoch - 1][1])


def test_own_epochs_go_on_from_the_last_plain_one(tiny_encoder):
    """After one epoch of its own the model is nearer to the last plain one than to the best."""
    settings = SETTINGS.model_copy(update={"epochs": 6, "lr": 1e-2, "keep_epoch": "last"})
    plain, _ = trained(tiny_encoder, settings, noise=0.2)
    best, _ = trained(tiny_encoder, settings.model_copy(update={"keep_epoch": "best"}), noise=0.2)
    longer = settings.model_copy(update={"plain_epochs": 6, "epochs": 1})
    own, result = trained(tiny_encoder, longer, noise=0.2, cmi_weight=-0.5)
    assert result.best_epoch == 7
    distances = [
        sum((one - other).norm() for one, other in zip(own.parameters(), model.parameters(), strict=True))
        for model in (plain, best)
    ]
    assert distances[0] < distances[1]


def test_patience_stops_training(tiny_encoder):
    """At a vanishing learning rate no epoch beats the first."""
    still = SETTINGS.model_copy(update={"lr": 1e-30, "epochs": 9, "patience": 2})
    _, result = trained(tiny_encoder, still)
    assert (len(result.history), result.best_epoch) == (3, 1)


def test_a_loss_that_is_not_finite_stops_training(tiny_encoder):
    wild = SETTINGS.model_copy(update={"lr": 1e30, "max_grad_norm": 1e30})
    with pytest.raises(FloatingPointError, match="the loss is not finite by step"):
        trained(tiny_encoder, wild)
