"""Encoders and decoder-only models as classifiers: what enters the head, cut students, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from src.core.encoding import encode, inference_batches, training_batches
from src.core.inference import predict
from src.core.models import check_vocabulary, load_classifier, load_tokenizer
from src.errors import UserError
from src.params import ModelSource

TEXTS = [("the film was good",), ("bad",), ("a story a plot a scene was awful and poor",), ("great music",)]
LABELS = ["negative", "positive"]


def loaded(source: ModelSource, seed: int = 0):
    tokenizer = load_tokenizer(source)
    model = load_classifier(source, LABELS, tokenizer.pad_token_id, seed).eval()
    return model, encode(TEXTS, tokenizer, 16)


@pytest.fixture
def accelerator():
    from accelerate import Accelerator

    return Accelerator(cpu=True)


@pytest.mark.parametrize("name", ["tiny_encoder", "tiny_distilbert", "tiny_decoder"])
def test_features_are_what_the_head_sees(name, request):
    """The head's own layers, applied to the features, give the logits."""
    model, split = loaded(request.getfixturevalue(name))
    with torch.no_grad():
        logits, features = model(**split.batch(torch.arange(4)))
        own = model.model
        if name == "tiny_encoder":
            again = own.classifier(features)
        elif name == "tiny_distilbert":
            again = own.classifier(own.pre_classifier(features).relu())
        else:
            again = own.score(features)
    assert features.shape == (4, 32)
    assert torch.allclose(again, logits, atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_features_follow_the_pooling_of_the_head(tiny_encoder, tmp_path, pooling):
    """ModernBERT's head pools the hidden states itself, by the rule that its config names."""
    config = ModernBertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        classifier_pooling=pooling,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0),
    )
    source = copy_of(tiny_encoder, tmp_path / "modern")
    ModernBertForSequenceClassification(config).save_pretrained(tmp_path / "modern")
    model, split = loaded(source)
    with torch.no_grad():
        inputs = split.batch(torch.arange(4))
        inputs.pop("token_type_ids")
        logits, features = model(**inputs)
        again = model.model.classifier(model.model.head(features))
    assert torch.allclose(again, logits, atol=1e-6)


def test_the_longest_input_must_fit_the_model(tiny_encoder):
    with pytest.raises(UserError, match=r"max_length: 513 is too long for .*; at most 512"):
        load_classifier(tiny_encoder, LABELS, 0, 0, tokens=513)


def roberta(tiny_encoder: ModelSource, folder: Path) -> ModelSource:
    """It counts positions from its pad token's number on, and knows one segment only."""
    source = copy_of(tiny_encoder, folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = RobertaConfig(vocab_size=64, max_position_embeddings=18, type_vocab_size=1, pad_token_id=1, **sizes)
    RobertaForSequenceClassification(config).save_pretrained(folder)
    return source


def test_positions_that_a_model_does_not_use_are_no_room(tiny_encoder, tmp_path):
    source = roberta(tiny_encoder, tmp_path / "roberta")
    load_classifier(source, LABELS, 1, 0, tokens=16)
    with pytest.raises(UserError, match=r"max_length: 17 is too long for .*; at most 16"):
        load_classifier(source, LABELS, 1, 0, tokens=17)


def test_segments_and_pad_token_must_be_known_to_the_weights(tiny_encoder, tmp_path):
    source = roberta(tiny_encoder, tmp_path / "roberta")
    model, split = loaded(source)
    check_vocabulary(source, model, [split])
    with pytest.raises(UserError, match="gives token 64, its weights know 64 tokens"):
        check_vocabulary(source, model, [replace(split, pad_id=64)])
    pairs = encode([("good", "bad")], load_tokenizer(source), 16)
    with pytest.raises(UserError, match="gives segment 1, its weights know 1 segments"):
        check_vocabulary(source, model, [pairs])


@pytest.mark.parametrize("name", ["tiny_encoder", "tiny_distilbert", "tiny_decoder"])
def test_padding_does_not_change_outputs(name, request, accelerator):
    model, split = loaded(request.getfixturevalue(name))
    together = predict(model, split, accelerator)
    for row in range(4):
        alone = model(**split.batch(torch.tensor([row])))
        assert torch.allclose(alone.logits[0], together.logits[row], atol=1e-5)
        assert torch.allclose(alone.features[0], together.features[row], atol=1e-5)


def test_features_have_no_dropout_of_their_own(tiny_encoder):
    """In training, logits are noisy twice over but the pooled vector carries no zeros of the head's dropout."""
    model, split = loaded(tiny_encoder)
    model.train()
    assert (model(**split.batch(torch.arange(4))).features != 0).all()


def test_the_head_follows_from_the_seed(tiny_encoder, tmp_path):
    folder = tmp_path / "headless"
    shutil.copytree(tiny_encoder.name, folder)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if not key.startswith("classifier")},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    source = ModelSource(source="folder", name=str(folder))
    heads = [loaded(source, seed)[0].model.classifier.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_student_is_cut_from_the_layers_named(tiny_encoder):
    whole, _ = loaded(tiny_encoder)
    student, split = loaded(tiny_encoder.model_copy(update={"layers": [0, 2]}))
    layers = student.model.bert.encoder.layer
    assert len(layers) == student.model.config.num_hidden_layers == 2
    for kept, original in zip(layers, (0, 2), strict=True):
        own, source = kept.state_dict(), whole.model.bert.encoder.layer[original].state_dict()
        assert all(torch.equal(own[key], source[key]) for key in source)
    assert student(**split.batch(torch.arange(4))).logits.shape == (4, 2)


def test_a_decoder_student_is_cut_too(tiny_decoder):
    student, split = loaded(tiny_decoder.model_copy(update={"layers": [1]}))
    assert len(student.model.transformer.h) == 1
    assert student(**split.batch(torch.arange(4))).logits.shape == (4, 2)


def copy_of(source: ModelSource, folder: Path) -> ModelSource:
    shutil.copytree(source.name, folder)
    return ModelSource(source="folder", name=str(folder))


def rename_labels(folder: Path, names: list[str]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["label2id"] = {name: number for number, name in enumerate(names)}
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(("names", "fits"), [(["Negative", "POSITIVE"], True), (["positive", "negative"], False)])
def test_labels_of_model_and_data_must_agree_in_order(tiny_encoder, tmp_path, names, fits):
    source = copy_of(tiny_encoder, tmp_path / "named")
    rename_labels(tmp_path / "named", names)
    if fits:
        assert loaded(source)[0].model.config.id2label == {0: "negative", 1: "positive"}
    else:
        with pytest.raises(UserError, match="has the labels positive, negative; the data has negative, positive"):
            loaded(source)


def test_a_model_with_another_number_of_labels_gets_a_new_head(tiny_encoder, tmp_path):
    source = copy_of(tiny_encoder, tmp_path / "three")
    rename_labels(tmp_path / "three", ["a", "b", "c"])
    weights = load_file(tmp_path / "three" / "model.safetensors")
    weights |= {"classifier.weight": torch.zeros(3, 32), "classifier.bias": torch.zeros(3)}
    save_file(weights, tmp_path / "three" / "model.safetensors", metadata={"format": "pt"})
    head = loaded(source)[0].model.classifier
    assert head.weight.shape == (2, 32)
    assert head.weight.abs().sum() > 0


def test_a_hub_model_without_a_network_is_one_line(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="nobody/nothing: cannot be loaded"):
        load_tokenizer(ModelSource(source="hub", name="nobody/nothing", revision="0" * 40))


def test_pairs_are_marked_and_cut_to_length(tiny_encoder):
    split = encode([("good film", "bad plot and a poor story")], load_tokenizer(tiny_encoder), 8)
    inputs = split.batch(torch.tensor([0]))
    assert inputs["input_ids"].shape == (1, 8)
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


def test_every_row_is_in_one_batch_of_an_epoch():
    lengths = torch.randint(3, 60, (1001,), generator=torch.Generator().manual_seed(0))
    batches = training_batches(lengths, 32, torch.Generator().manual_seed(1))
    assert torch.cat(batches).sort().values.tolist() == list(range(1001))
    assert {len(batch) for batch in batches} <= {31, 32}
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    assert padded / int(lengths.sum()) < 1.06
    again = training_batches(lengths, 32, torch.Generator().manual_seed(1))
    assert all(torch.equal(one, other) for one, other in zip(batches, again, strict=True))
    assert [len(rows) for rows in inference_batches(lengths, 400)] == [400, 400, 201]
