"""Models with random weights and tasks of made-up words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    LlamaConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from benchmarks.gpu.parts import REPOSITORY
from src.data.prepared import LabelledSplit, PreparedTask, Split
from src.params import ModelSource, RunSettings, load_params

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
TELLING = 200  # the number of words that tell a label: the first ones, divided among the labels
DROPOUT_SHAPE = "BERT with dropout"
SHARE = 0.2  # the share of a row's words that tell its label


def base(**changes: Any) -> BertConfig:
    """The config of BERT-base."""
    return BertConfig(pad_token_id=0, **changes)


def minilm(layers: int = 6, **changes: Any) -> BertConfig:
    """The config of MiniLM, which is narrow and has few layers."""
    sizes: dict[str, Any] = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
    return base(**(sizes | {"num_hidden_layers": layers} | changes))


def tiny_minilm() -> BertConfig:
    """A config that only shows that a part works."""
    return minilm(layers=2, hidden_size=96, vocab_size=1000)


def small_shapes(width: int = 128, layers: int = 4) -> dict[str, PretrainedConfig]:
    """A small config of each architecture without dropout, and of a BERT with it. Masks differ between devices."""
    common: dict[str, Any] = {"vocab_size": 1000, "pad_token_id": 0}
    bert: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **common}
    sizes: dict[str, Any] = {
        "hidden_size": width,
        "num_attention_heads": 4,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
    }
    distil: dict[str, Any] = {"dim": width, "n_heads": 4, "hidden_dim": 4 * width, "n_layers": layers, **common}
    no_dropout: dict[str, Any] = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    ends: dict[str, Any] = {"bos_token_id": 2, "eos_token_id": 3}
    return {
        "BERT": BertConfig(**bert, **sizes),
        "MiniLM": BertConfig(**bert, **sizes | {"hidden_size": 3 * width, "num_attention_heads": 12}),
        "DistilBERT": DistilBertConfig(**distil, **no_dropout),
        "MPNet": MPNetConfig(**bert, **sizes, **ends),
        DROPOUT_SHAPE: BertConfig(**common, **sizes),
        "Llama": LlamaConfig(**sizes, **common, **ends, num_key_value_heads=2, max_position_embeddings=128),
    }


def save_model(config: PretrainedConfig, folder: Path) -> ModelSource:
    """Save a model with random weights, and a tokenizer with one token per word, to a folder."""
    if not folder.is_dir():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(config)
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.data *= 3  # the size of a trained model's weights
        model.save_pretrained(folder)
        word_tokenizer(config.vocab_size).save_pretrained(folder)
    return ModelSource(source="folder", name=str(folder))


def word_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A tokenizer with the words w0, w1 and so on, and with BERT's template."""
    words = SPECIAL + [f"w{number}" for number in range(size - len(SPECIAL))]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names)


def made_task(
    rows: int, words: tuple[int, int], vocabulary: int, labels: int = 2, transfer: int = 0, others: int = 64
) -> PreparedTask:
    """A task of made-up rows.

    Args:
        rows: the number of train rows.
        words: the fewest and the most words of a row.
        vocabulary: the number of words to draw from.
        labels: the number of labels.
        transfer: the number of transfer rows.
        others: the number of selection rows, and of test rows.
    """
    draw = np.random.default_rng(0)

    def split(count: int) -> LabelledSplit:
        truth = np.arange(count) % labels
        texts: list[tuple[str, ...]] = [(_text(draw, int(label), labels, words, vocabulary),) for label in truth]
        return LabelledSplit([str(number) for number in range(count)], texts, truth)

    names = ["no", "yes", "maybe"][:labels]
    train, selection, test = split(rows), split(others), split(others)
    unlabelled = {"test": _without_labels(test), "transfer": _without_labels(split(transfer))}
    return PreparedTask("made", names, ["accuracy"], train, selection, unlabelled)


def _without_labels(split: LabelledSplit) -> Split:
    return Split(split.row_ids, split.texts)


def _text(draw: np.random.Generator, label: int, labels: int, words: tuple[int, int], vocabulary: int) -> str:
    count = draw.integers(words[0], words[1], endpoint=True)
    chosen = draw.integers(TELLING, vocabulary - len(SPECIAL), size=count)
    own = draw.integers(label * TELLING // labels, (label + 1) * TELLING // labels, size=count)
    return " ".join(f"w{number}" for number in np.where(draw.random(count) < SHARE, own, chosen))


def run_settings(source: ModelSource, way: str, training: dict[str, Any], **objective: Any) -> RunSettings:
    """The default teacher's settings with another model, way to run, optimisation and objective.

    A way to run is a precision, with " graphs" behind it if passes are replayed as CUDA graphs.
    """
    precision, *graphs = way.split()
    settings = load_params(REPOSITORY / "params.yaml").teacher("vader-movie", "ce")
    runtime = {"precision": precision, "cuda_graphs": graphs == ["graphs"]}
    return replace(
        settings,
        model=source,
        runtime=settings.runtime.model_copy(update=runtime),
        training=settings.training.model_copy(update=training),
        objective=settings.objective.model_copy(update=objective),
    )
