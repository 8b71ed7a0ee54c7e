"""Small trainings: plain, with adapters, in half precision, and killed after a step."""

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from src.core.machine.randomness import stream_seed
from src.core.models.classifier import Classifier, load_classifier
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.dropout import use_cpu_dropout
from src.core.speed.half_precision import round_products
from src.core.speed.recompute import recompute_activations
from src.core.training.batches import LabelledTokens, TrainingData
from src.core.training.checkpoints import Checkpoints
from src.core.training.loop import Setup
from src.core.training.phases import train
from src.data.prepared import LabelledSplit, PreparedTask
from src.params import CheckpointSettings, Lora, ModelSource, Objective, Training
from tests.conftest import labelled_texts
from tests.support.objectives import BASE

KINDS = ["tiny_encoder", "tiny_distilbert", "tiny_decoder"]  # fixtures of conftest.py
LABELS = ["negative", "positive"]
TOKENS = {"input_ids": torch.tensor([[2, 5, 9, 7, 3], [2, 8, 6, 4, 3]]), "attention_mask": torch.ones(2, 5).long()}
SETTINGS = Training(
    epochs=4, batch_size=16, lr=3e-3, weight_decay=0.01, warmup=0.1, max_grad_norm=1.0, max_length=16, patience=None
)
TWO_EPOCHS = SETTINGS.model_copy(update={"epochs": 2})  # of 10 steps each
ALWAYS, NEVER = CheckpointSettings(seconds=0, largest_share=1), CheckpointSettings(seconds=1e9)


class Killed(BaseException):
    """Stands for a signal that cannot be caught."""


class KilledAt(Checkpoints):
    """Saves after every step, and ends the training after step `step`."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, ALWAYS)
        self.step = step

    def due(self) -> bool:
        return True

    def save(self, step: int, state: dict) -> None:
        super().save(step, state)
        if step == self.step:
            raise Killed


def adapted(source: ModelSource, **settings: object) -> ModelSource:
    """The same model with LoRA of rank 2."""
    return source.model_copy(update={"lora": Lora(**{"rank": 2, "alpha": 4} | settings)})


def data_for(source: ModelSource, teacher_logits: torch.Tensor | None = None, noise: float = 0.0) -> TrainingData:
    """160 train rows, 60 selection rows, and the first 40 train rows for diagnostics."""
    tokenizer = load_tokenizer(source)
    splits = []
    for rows, seed in ((160, 0), (60, 1)):
        texts = labelled_texts(rows, seed, noise)
        tokens = encode([(row["sentence"],) for row in texts], tokenizer, 16)
        splits.append(LabelledTokens(tokens, torch.tensor([row["label"] for row in texts])))
    train_split = LabelledTokens(splits[0].tokens, splits[0].labels, teacher_logits)
    return TrainingData(train_split, splits[1], train_split.first(40), 2, ["accuracy"])


def task_of_100_rows() -> PreparedTask:
    """A task for checks of settings, which look at the number of its train rows and labels."""
    split = LabelledSplit(["0"] * 100, [("a",)] * 100, np.zeros(100))
    return PreparedTask("vader-movie", ["no", "yes"], ["accuracy"], split, split, {})


def loaded(source: ModelSource, seed: int = 0, recomputed: bool = False) -> Classifier:
    """A classifier with a new head. Its layers may be computed again in the backward pass."""
    model = load_classifier(source, LABELS, 0, seed)
    if recomputed:
        recompute_activations(source, model.model, emulated=True)
    return model


def trained(source, settings=SETTINGS, seed=0, teacher_logits=None, noise=0.0, recomputed=False, **objective):
    """A model trained in float32, and the result of its training."""
    model = loaded(source, stream_seed(seed, "head"), recomputed)
    wanted = Objective(**{**BASE, **objective})
    setup = Setup(model, data_for(source, teacher_logits, noise), seed, Accelerator(cpu=True))
    result = train(setup, wanted, settings)
    return model, result


def trained_in(
    source, precision, settings=TWO_EPOCHS, checkpoints=None, fast_dropout=False, recomputed=False, **objective
):
    """A model trained on noisy labels in a precision, and the result of its training."""
    model = loaded(source, recomputed=recomputed)
    if fast_dropout:
        use_cpu_dropout(model.model)
    round_products(source, model, precision, 0)
    setup = Setup(model, data_for(source, noise=0.2), 0, Accelerator(cpu=True), precision)
    return model, train(setup, Objective(**BASE | objective), settings, checkpoints)
