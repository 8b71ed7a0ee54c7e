"""Encoders and decoder-only models as classifiers: what enters the head, cut students, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from src.core.models.classifier import load_classifier
from src.core.models.compatibility import check_loaded, check_vocabulary
from src.core.models.encoding import encode, inference_batches, joins_pairs, training_batches
from src.core.models.files import says_no_memory
from src.core.models.head_input import HeadInput, whole
from src.core.models.tokenizer import load_tokenizer
from src.core.training.inference import predict
from src.params import ModelSource
from src.system.errors import UserError
from tests.conftest import word_tokenizer
from tests.support.tiny_models import TEXTS, save_tiny_model

LABELS = ["negative", "positive"]


def loaded(source: ModelSource, seed: int = 0):
    tokenizer = load_tokenizer(source)
    model = load_classifier(source, LABELS, tokenizer.pad_token_id, seed).eval()
    return model, encode(TEXTS, tokenizer, 16)


@pytest.fixture
def accelerator():
    from accelerate import Accelerator

    return Accelerator(cpu=True)


def test_weights_may_be_large(tiny_encoder):
    """Each is a number, and their sum is larger than any."""
    model, _ = loaded(tiny_encoder)
    weights = model.model.classifier.weight.data.fill_(torch.finfo(torch.float32).max)
    assert weights.sum().isinf()
    check_loaded(tiny_encoder, model.model, set())
    weights[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"classifier\.weight of .* is not finite"):
        check_loaded(tiny_encoder, model.model, set())


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


def test_a_pad_token_that_ends_each_text_is_passed_over(tmp_path):
    """Qwen3-Embedding's template adds one; transformers scores the token before it, and so h is that token's state."""
    tokenizer = word_tokenizer("[PAD]")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A [PAD]", special_tokens=[("[PAD]", 0)])
    source = save_tiny_model("qwen3", tokenizer, tmp_path / "model")
    model, split = loaded(source)
    assert split.ids[split.lengths.cumsum(0) - 1].tolist() == [0, 0, 0, 0]
    with torch.no_grad():
        logits, features = model(**split.batch(torch.arange(4)))
        assert torch.allclose(model.model.score(features), logits, atol=1e-6)
        hidden = model.model.model(**split.batch(torch.arange(4))).last_hidden_state
    assert torch.equal(features[1], hidden[1, 0])  # "bad", and the pad token after it


def test_a_head_of_zeros_is_no_fault(tiny_encoder, tmp_path):
    """What a head reads does not depend on its weights."""
    source = copy_of(tiny_encoder, tmp_path / "zeros")
    weights = load_file(tmp_path / "zeros" / "model.safetensors")
    weights |= {"classifier.weight": torch.zeros(2, 32), "classifier.bias": torch.zeros(2)}
    save_file(weights, tmp_path / "zeros" / "model.safetensors", metadata={"format": "pt"})
    assert loaded(source)[0].head_input == HeadInput("pooler_output", whole)


def test_the_trial_of_a_model_leaves_no_trace(tiny_encoder):
    """Random numbers go on after loading as they would without it: from the seed that drew the head, here unused."""
    state = torch.random.manual_seed(7).get_state()
    model = load_classifier(tiny_encoder, LABELS, 0, 7)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in model.model.modules())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())


def test_the_longest_input_must_fit_the_model(tiny_encoder):
    with pytest.raises(UserError, match=r"max_length: 513 is too long for .*; set it to 512 or less"):
        load_classifier(tiny_encoder, LABELS, 0, 0, tokens=513)


def roberta(tiny_encoder: ModelSource, folder: Path) -> ModelSource:
    """It counts positions from its pad token's number on, and knows one segment only."""
    source = copy_of(tiny_encoder, folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = RobertaConfig(vocab_size=64, max_position_embeddings=18, type_vocab_size=1, pad_token_id=1, **sizes)
    RobertaForSequenceClassification(config).save_pretrained(folder)
    return source


@pytest.mark.parametrize("words", [2, 3, 5, 9, 17, 25])
def test_a_small_vocabulary_is_no_fault(tiny_encoder, tmp_path, words):
    """Nine tokens are the letters of DNA and BERT's own."""
    source = copy_of(tiny_encoder, tmp_path / "small")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertForSequenceClassification(BertConfig(vocab_size=words, pad_token_id=0, **sizes)).save_pretrained(source.name)
    assert load_classifier(source, LABELS, 0, 0).head_input.source == "pooler_output"


def test_tokens_that_were_never_trained_are_no_fault(tiny_decoder, tmp_path):
    source = copy_of(tiny_decoder, tmp_path / "untrained")
    path = tmp_path / "untrained" / "model.safetensors"
    weights = load_file(path)
    weights["transformer.wte.weight"][:40] = 0
    save_file(weights, path, metadata={"format": "pt"})
    load_classifier(source, LABELS, 3, 0)
    weights["transformer.wte.weight"][:] = 0
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match="its outputs are the same for different texts"):
        load_classifier(source, LABELS, 3, 0)


def test_positions_that_a_model_does_not_use_are_no_room(tiny_encoder, tmp_path):
    source = roberta(tiny_encoder, tmp_path / "roberta")
    load_classifier(source, LABELS, 1, 0, tokens=16)
    with pytest.raises(UserError, match=r"max_length: 17 is too long for .*; set it to 16 or less"):
        load_classifier(source, LABELS, 1, 0, tokens=17)


def test_the_length_of_mpt_has_another_name(tiny_encoder, tmp_path):
    source = save_tiny_model("mpt", load_tokenizer(tiny_encoder), tmp_path / "mpt", max_seq_len=14)
    load_classifier(source, LABELS, 0, 0, tokens=14)
    with pytest.raises(UserError, match=r"max_length: 15 is too long for .*; set it to 14 or less"):
        load_classifier(source, LABELS, 0, 0, tokens=15)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"), True),
        (torch.OutOfMemoryError("CUDA"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_too_little_memory_is_known_by_its_words(error, expected):
    assert says_no_memory(error) is expected


def test_segments_and_pad_token_must_be_known_to_the_weights(tiny_encoder, tmp_path):
    source = roberta(tiny_encoder, tmp_path / "roberta")
    model, split = loaded(source)
    check_vocabulary(source, model.model, [split])
    with pytest.raises(UserError, match="gives token 64, but its weights know 64 tokens"):
        check_vocabulary(source, model.model, [replace(split, pad_id=64)])
    pairs = encode([("good", "bad")], load_tokenizer(source), 16)
    with pytest.raises(UserError, match="gives segment 1, but its weights know 1 segments"):
        check_vocabulary(source, model.model, [pairs])


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


def test_labels_of_model_and_data_agree_in_either_unicode_form(tiny_encoder, tmp_path):
    """An é is one character here, and an e with an accent there."""
    source = copy_of(tiny_encoder, tmp_path / "named")
    rename_labels(tmp_path / "named", ["ne\N{COMBINING ACUTE ACCENT}", "positive"])
    names = ["n\N{LATIN SMALL LETTER E WITH ACUTE}", "positive"]
    assert load_classifier(source, names, 0, 0).model.config.id2label == dict(enumerate(names))


def test_a_model_with_another_number_of_labels_gets_a_new_head(tiny_encoder, tmp_path):
    source = copy_of(tiny_encoder, tmp_path / "three")
    rename_labels(tmp_path / "three", ["a", "b", "c"])
    weights = load_file(tmp_path / "three" / "model.safetensors")
    weights |= {"classifier.weight": torch.zeros(3, 32), "classifier.bias": torch.zeros(3)}
    save_file(weights, tmp_path / "three" / "model.safetensors", metadata={"format": "pt"})
    head = loaded(source)[0].model.classifier
    assert head.weight.shape == (2, 32)
    assert head.weight.abs().sum() > 0


def test_a_new_head_is_drawn_where_it_is_asked_for(tiny_encoder, tmp_path):
    """For a model fine-tuned for another task with as many labels: the head that a headless one would get."""
    source = copy_of(tiny_encoder, tmp_path / "other")
    rename_labels(tmp_path / "other", ["spam", "ham"])
    with pytest.raises(UserError, match=r"has the labels spam, ham; .*; set new_head to true to draw a new head"):
        loaded(source)
    heads = [loaded(source.model_copy(update={"new_head": True}), seed)[0].model.classifier for seed in (0, 0, 1)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)

    weights = load_file(tmp_path / "other" / "model.safetensors")
    kept = {key: values for key, values in weights.items() if not key.startswith("classifier")}
    save_file(kept, tmp_path / "other" / "model.safetensors", metadata={"format": "pt"})
    rename_labels(tmp_path / "other", LABELS)
    assert torch.equal(loaded(source)[0].model.classifier.weight, heads[0].weight)


@pytest.mark.parametrize("spread", [float("nan"), float("inf"), -0.5])
def test_a_head_that_cannot_be_drawn_is_one_line(tiny_encoder, tmp_path, spread):
    source = copy_of(tiny_encoder, tmp_path / "spread")
    path = tmp_path / "spread" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"initializer_range": spread}))
    with pytest.raises(
        UserError, match=r"cannot be loaded \(RuntimeError: normal expects|classifier.weight .* not finite"
    ):
        loaded(source.model_copy(update={"new_head": True}))


def test_the_record_of_a_run_without_the_key_is_what_it_was():
    before = {"source": "folder", "name": "model", "revision": None, "layers": None}
    assert ModelSource(**before).model_dump() == before
    assert ModelSource(**before, new_head=True).model_dump() == before | {"new_head": True}


def test_a_hub_model_without_a_network_is_one_line(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"nobody/nothing: cannot be fetched .*HF_HUB_OFFLINE is set"):
        load_tokenizer(ModelSource(source="hub", name="nobody/nothing", revision="0" * 40))


def test_pairs_are_marked_and_cut_to_length(tiny_encoder):
    split = encode([("good film", "bad plot and a poor story")], load_tokenizer(tiny_encoder), 8)
    inputs = split.batch(torch.tensor([0]))
    assert inputs["input_ids"].shape == (1, 8)
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


PAIRS = [("good film", "bad plot"), ("good", "film bad plot"), ("good film bad", "plot")]


@pytest.mark.parametrize("side", ["right", "left"])
def test_pairs_without_a_template_have_the_end_token_between_them(tiny_decoder, side):
    """GPT-2's tokenizer and Qwen's join two texts with nothing between; the end token (3) stays when texts are cut."""
    tokenizer = load_tokenizer(tiny_decoder, pairs=True)
    tokenizer.truncation_side = side
    good, bad, film, plot, end = (tokenizer.get_vocab()[word] for word in ("good", "bad", "film", "plot", "[SEP]"))
    rows = encode(PAIRS, tokenizer, 16).ids.view(3, 5).tolist()
    assert rows == [[good, film, end, bad, plot], [good, end, film, bad, plot], [good, film, bad, end, plot]]
    long = [("film " * 20, "plot"), ("film", "plot " * 20), ("film " * 20, "plot " * 20), ("film", ""), ("", "plot")]
    split = encode(long, tokenizer, 6)
    assert split.lengths.tolist() == [6, 6, 6, 2, 2]
    assert (split.ids.tolist()).count(end) == 5


def test_pairs_with_a_template_are_left_to_it(tiny_encoder):
    assert not joins_pairs(load_tokenizer(tiny_encoder))
    assert type(load_tokenizer(tiny_encoder, pairs=True)) is type(load_tokenizer(tiny_encoder))


def test_pairs_without_anything_to_put_between_are_refused():
    tokenizer = word_tokenizer(None)
    tokenizer.eos_token, tokenizer.pad_token = None, "[PAD]"
    with pytest.raises(
        UserError, match="puts nothing between the texts of a pair; use a tokenizer with a template for pairs"
    ):
        encode(PAIRS, tokenizer, 16)


def test_a_text_without_a_token_gets_the_pad_token(tiny_decoder):
    model, _ = loaded(tiny_decoder)
    split = encode([("",), ("the film was good",), ("",)], load_tokenizer(tiny_decoder), 16)
    assert split.lengths.tolist() == [1, 4, 1]
    with torch.no_grad():
        logits, features = model(**split.batch(torch.arange(3)))
        alone = model(**split.batch(torch.tensor([0])))
    assert torch.allclose(model.model.score(features), logits, atol=1e-6)
    assert torch.allclose(alone.features[0], features[0], atol=1e-6)


@pytest.mark.parametrize("name", ["tiny_encoder", "tiny_decoder"])
@pytest.mark.parametrize("texts", [[("",), (" ",)], [("", ""), (" ", "")]], ids=["texts", "pairs"])
def test_texts_that_all_come_to_no_token_are_refused(name, texts, request):
    with pytest.raises(UserError, match="finds no token in any text; use a model for these texts, or raise max_length"):
        encode(texts, load_tokenizer(request.getfixturevalue(name), pairs=len(texts[0]) == 2), 16)


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
