"""Epochs that train the head alone: on features computed once, with the rest of the model as it was."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator

from src.core.machine.randomness import stream_seed
from src.core.models.classifier import load_classifier
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.half_precision import round_products
from src.core.speed.head_alone import check_head_alone, head_alone, row_numbers
from src.core.training.head_phase import with_head_alone
from src.core.training.inference import predict
from src.core.training.loop import Setup
from src.core.training.phases import train
from src.params import Lora, Objective
from src.system.errors import UserError
from tests.conftest import word_tokenizer
from tests.support.objectives import BASE
from tests.support.tiny_models import save_tiny_model
from tests.support.training import SETTINGS, data_for

pytestmark = pytest.mark.usefixtures("one_thread")

NCMI = {"ncmi_weight": 1.0, "label_weight": 0.0, "feature_map": "unit_sigmoid", "centroid": "ema"}
HEAD = {"epochs": 2, "head_epochs": 3, "head_lr": 0.03}


def setup_of(source, precision="fp32", noise=0.0) -> Setup:
    pad_id = load_tokenizer(source).pad_token_id
    model = load_classifier(source, ["negative", "positive"], pad_id, stream_seed(0, "head"))
    round_products(source, model, precision, pad_id)
    return Setup(model, data_for(source, noise=noise), 0, Accelerator(cpu=True), precision)


def trained(setup: Setup, objective: dict, **settings):
    result = train(setup, Objective(**{**BASE, **objective}), SETTINGS.model_copy(update=settings))
    return setup.model, result


def backbone(model) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.state_dict().items() if ".classifier." not in name}


def test_a_model_without_labels_in_its_loss_learns_the_task(tiny_encoder):
    """Its own epochs keep the last one, and leave a head that knows nothing; the epoch kept is one of the head's."""
    model, result = trained(setup_of(tiny_encoder), NCMI, **HEAD | {"epochs": 4})
    scores = [row["selection_accuracy"] for row in result.history]
    assert len(scores) == 7
    assert max(scores[:4]) < 0.6
    assert result.best_epoch > 4
    assert scores[result.best_epoch - 1] == max(scores[4:]) > 0.9
    before, _ = trained(setup_of(tiny_encoder), NCMI, epochs=4, keep_epoch="last")
    for name, weight in backbone(model).items():
        assert torch.equal(weight, backbone(before)[name]), name
    assert not torch.equal(model.model.classifier.weight, before.model.classifier.weight)


def test_the_model_that_is_left_is_the_one_that_was_scored(tiny_encoder):
    setup = setup_of(tiny_encoder, noise=0.2)
    model, result = trained(setup, NCMI, **HEAD)
    outputs = predict(model, setup.data.selection.tokens, setup.accelerator)
    kept = result.history[result.best_epoch - 1]
    assert F.cross_entropy(outputs.logits, setup.data.selection.labels).item() == pytest.approx(
        kept["selection_nll"], rel=1e-5
    )


def test_the_last_of_its_epochs_is_kept_where_that_is_asked_for(tiny_encoder):
    result = trained(setup_of(tiny_encoder, noise=0.2), NCMI, **HEAD, keep_epoch="last")[1]
    assert result.best_epoch == 5


def test_with_labels_in_the_loss_the_head_goes_on_from_the_best_epoch(tiny_encoder):
    model, result = trained(setup_of(tiny_encoder, noise=0.2), {"cmi_weight": 1.0}, epochs=2, head_epochs=1)
    plain, before = trained(setup_of(tiny_encoder, noise=0.2), {"cmi_weight": 1.0}, epochs=2)
    assert (result.history[:2], result.best_epoch) == (before.history, 3)
    assert all(torch.equal(weight, backbone(plain)[name]) for name, weight in backbone(model).items())


def test_the_learning_rate_of_the_head_is_that_of_the_run_unless_it_has_its_own(tiny_encoder):
    still = {"epochs": 1, "head_epochs": 1, "lr": 1e-30}
    moved, unmoved = (trained(setup_of(tiny_encoder), {}, **still, head_lr=rate)[1].history for rate in (1e-2, None))
    assert unmoved[1]["selection_nll"] == pytest.approx(unmoved[0]["selection_nll"], rel=1e-6)
    assert moved[1]["selection_nll"] != pytest.approx(moved[0]["selection_nll"], rel=1e-3)


@pytest.mark.parametrize("name", ["tiny_encoder", "tiny_distilbert", "tiny_decoder"])
def test_the_gradient_is_that_of_the_whole_model_without_dropout(name, request):
    setup = setup_of(request.getfixturevalue(name))
    alone, rows = with_head_alone(setup), torch.arange(16)
    heads = dict(alone.model.named_parameters())
    found = []
    for own in (setup, alone):
        outputs = own.model.eval()(**own.data.train.tokens.batch(rows))
        loss = F.cross_entropy(outputs.logits, own.data.train.labels[rows])
        weights = [dict(own.model.named_parameters())[name] for name in heads]
        found.append(torch.autograd.grad(loss, weights))
    assert 0 < len(heads) < len(dict(setup.model.named_parameters()))
    for whole, of_head in zip(*found, strict=True):
        assert torch.allclose(whole, of_head, atol=1e-6)


def test_with_lora_the_adapter_stays_as_it_is(tiny_encoder):
    source = tiny_encoder.model_copy(update={"lora": Lora(rank=2, alpha=4)})
    short = {"epochs": 1, "lr": 1e-2}
    model, result = trained(setup_of(source), NCMI, **HEAD | short)
    before, _ = trained(setup_of(source), NCMI, **short, keep_epoch="last")
    assert result.best_epoch > 1
    updates = [name for name in backbone(model) if "lora_" in name]
    assert updates
    assert all(torch.equal(backbone(model)[name], backbone(before)[name]) for name in updates)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rows_without_a_label_are_no_rows_of_the_head(tiny_encoder, precision):
    """The others have the features and the logits that they have by the whole model."""
    setup = setup_of(tiny_encoder, precision)
    setup.data.train.labels[100:] = -1
    alone = with_head_alone(setup)
    assert (len(alone.data.train.labels), len(alone.data.selection.labels)) == (100, 60)
    outputs = predict(setup.model, setup.data.selection.tokens, setup.accelerator)
    found = predict(alone.model, alone.data.selection.tokens, setup.accelerator)
    assert torch.equal(found.features, outputs.features)
    assert torch.allclose(found.logits, outputs.logits, atol=1e-6)


@pytest.mark.fault
def test_a_head_that_reads_more_than_h_is_refused(tmp_path, record_fault):
    source = save_tiny_model("luke", word_tokenizer("[PAD]"), tmp_path / "model")
    model = load_classifier(source, ["negative", "positive"], 0, 0)
    with pytest.raises(UserError) as raised:
        check_head_alone(source, model, "fp32", 0)
    line = str(raised.value).replace(str(tmp_path), Path("models").as_posix())
    assert "luke model, whose head cannot be trained alone" in line
    assert len(line.splitlines()) == 1
    record_fault("models", "head_epochs for a model whose head reads more than one vector", line)


def test_a_table_with_other_vectors_gives_other_logits(tiny_encoder):
    """So that the check above can fail."""
    model = setup_of(tiny_encoder).model.eval()
    rows = row_numbers(0, 2).batch(torch.arange(2))
    vectors = torch.randn(2, model.model.config.hidden_size)
    ours, swapped = (head_alone(model, h, "fp32").eval()(**rows).logits for h in (vectors, vectors.flip(0)))
    assert torch.allclose(ours, swapped.flip(0), atol=1e-6)
    assert not torch.allclose(ours, swapped, atol=1e-4)
