"""Ways to break the folder of a sound model, and models that do not fit."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import BartConfig, BartForSequenceClassification

from tests.conftest import word_tokenizer
from tests.support.tiny_models import save_tiny_model


class Hostile:
    """Unpickling this runs a command, of which the test would find the trace."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


CODE = "from pathlib import Path\n\nPath('executed').touch()\nconfiguration = model = None\n"
AUTO_MAP = {"AutoConfig": "hostile.configuration", "AutoModelForSequenceClassification": "hostile.model"}


def changed_json(name: str, **keys: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))

    return damage


def config(**keys: Any) -> Callable[[Path], None]:
    return changed_json("config.json", **keys)


def removed(*patterns: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for path in [path for pattern in patterns for path in folder.glob(pattern)]:
            path.unlink()

    return damage


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Change the tensors in place."""

    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def without_layer(tensors: dict[str, torch.Tensor]) -> None:
    for key in [key for key in tensors if "layer.3." in key]:
        del tensors[key]


def small_vocabulary(folder: Path) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    weights(lambda tensors: tensors.update({name: tensors[name][:8].clone()}))(folder)
    config(vocab_size=8)(folder)


def unknown_pad(folder: Path) -> None:
    """A pad token was added to the tokenizer, and no row for it to the table."""
    name, words = "bert.embeddings.word_embeddings.weight", 24
    weights(lambda tensors: tensors.update({name: tensors[name][:words].clone()}))(folder)
    config(vocab_size=words)(folder)
    changed_json("tokenizer_config.json", pad_token="[NEW]")(folder)


def gguf_files(*names: str) -> Callable[[Path], None]:
    """A folder of nothing but these, none of which is whole."""

    def damage(folder: Path) -> None:
        removed("*")(folder)
        for name in names:
            (folder / name).write_bytes(b"GGUF but not")

    return damage


def narrow(tensors: dict[str, torch.Tensor]) -> None:
    name = "bert.encoder.layer.1.output.dense.weight"
    tensors[name] = tensors[name][:, :8].clone()


def pickled(folder: Path) -> None:
    torch.save({"weights": Hostile()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def pickled_beside(folder: Path) -> None:
    pickled(folder)
    save_file({"other": torch.zeros(1)}, folder / "other.safetensors")


def sharded(shard: Any) -> Callable[[Path], None]:
    """The weights lie outside of the folder, in a place that the index names."""

    def damage(folder: Path) -> None:
        names = list(load_file(folder / "model.safetensors"))
        (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
        save_file({"other": torch.zeros(1)}, folder / "other.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, shard)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return damage


def index(content: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "other.safetensors")
        (folder / "model.safetensors.index.json").write_text(content)

    return damage


def with_code(**keys: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "hostile.py").write_text(CODE)
        config(auto_map=AUTO_MAP, **keys)(folder)

    return damage


def encoder_decoder(folder: Path) -> None:
    sides = ("encoder", "decoder")
    small = {f"{side}_{key}": size for side in sides for key, size in (("layers", 1), ("attention_heads", 2))}
    settings = BartConfig(vocab_size=64, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, **small)
    BartForSequenceClassification(settings).save_pretrained(folder)


def tokenizer(**keys: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        content["model"] |= keys
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def token(number: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        content["model"]["vocab"]["film"] = number
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def template(first: dict[str, Any]) -> Callable[[Path], None]:
    """Change the first piece of the template for single texts."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        content["post_processor"]["single"][0] = first
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return damage


def silent_tokenizer(folder: Path) -> None:
    """It takes nothing but digits for words."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Replace", "pattern": {"Regex": "[^0-9]"}, "content": ""}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def sentencepiece(folder: Path) -> None:
    save_tiny_model("deberta-v2", word_tokenizer("[PAD]"), folder)
    removed("tokenizer*")(folder)
    (folder / "spm.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02")


def other_kind(kind: str, folder: Path, **settings: Any) -> None:
    save_tiny_model(kind, word_tokenizer("[PAD]"), folder, **settings)


def reversed_labels(folder: Path) -> None:
    config(id2label={"0": "positive", "1": "negative"}, label2id={"positive": 0, "negative": 1})(folder)
