"""Loads the model that a run kept (`runtime.keep_weights`)."""

from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from src.core.models.classifier import Classifier, load_classifier
from src.core.models.tokenizer import load_tokenizer
from src.params import ModelSource
from src.runs import RunName
from src.system.errors import UserError
from src.system.files import read_json

MODEL = "model"


class KeptModel(NamedTuple):
    """A classifier in float32 on the CPU, its tokenizer, and its run's limit of tokens."""

    source: ModelSource
    model: Classifier
    tokenizer: PreTrainedTokenizerBase
    max_length: int


def kept_folder(run: RunName) -> Path:
    """The folder of a run's model.

    Raises:
        UserError: the run kept no model.
    """
    folder = run.folder() / MODEL
    if not folder.is_dir():
        allowed = "set runtime.keep_weights to true in params.yaml and run `dvc repro`"
        raise UserError(folder, "the weights of this run were not kept", allowed)
    return folder


def load_kept(run: RunName, label_names: list[str]) -> KeptModel:
    """Load the model that a run kept.

    Raises:
        UserError: the run kept no model, or the model is damaged or has other labels.
    """
    source = ModelSource(source="folder", name=str(kept_folder(run).absolute()))
    tokenizer = load_tokenizer(source)
    max_length: int = min(read_json(run.folder() / "record.json")["training"]["max_length"], tokenizer.model_max_length)
    model = load_classifier(source, label_names, tokenizer.pad_token_id, seed=0, tokens=max_length)
    return KeptModel(source, model, tokenizer, max_length)
