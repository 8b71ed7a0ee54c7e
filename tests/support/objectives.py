"""A plain objective, a small batch of random rows, and the loss of an objective on this batch."""

import json

import torch

from src.core.method.batch import Batch
from src.core.method.objectives import RunObjective
from src.core.method.relations import LastLayer
from src.core.method.spaces import Outputs
from src.params import Objective
from tests.conftest import REPOSITORY

BASE = {
    "space": "feature",
    "tau": 1.0,
    "centroid": "batch",
    "momentum": 0.9,
    "cmi_weight": 0.0,
    "cmi_unit": 1.0,
    "cmi_warmup": 0.0,
    "separation_weight": 0.0,
    "label_loss": "ce",
    "label_smoothing": 0.0,
    "confidence_penalty": 0.0,
    "alpha": 0.0,
    "temperature": 1.0,
}
COMMITTED = json.loads((REPOSITORY / "tests/fixtures/losses.json").read_text())


def batch(seed: int = 0, rows: int = 12) -> tuple[Outputs, torch.Tensor, torch.Tensor]:
    """Outputs of a model of three classes and width 5, the labels, and a teacher's logits."""
    generator = torch.Generator().manual_seed(seed)
    outputs = Outputs(torch.randn(rows, 3, generator=generator), torch.randn(rows, 5, generator=generator))
    return outputs, torch.arange(rows) % 3, 2 * torch.randn(rows, 3, generator=generator)


def last_layer(seed: int, width: int = 4, rows: int = 3, tokens: int = 5) -> LastLayer:
    """Random states of a last layer with two heads. The rows have all tokens, one fewer, two fewer and so on."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(3, rows, 2, tokens, width, generator=generator, dtype=torch.float64)
    return LastLayer(*states, torch.arange(tokens) < (tokens - torch.arange(rows)).unsqueeze(1))


def loss(teacher: bool = False, **settings: object) -> float:
    """The loss on `batch()`, a quarter of the way through a run."""
    outputs, labels, teacher_logits = batch()
    objective = RunObjective(Objective(**{**BASE, **settings}), 3)
    layers = last_layer(0, rows=12, tokens=14), last_layer(1, rows=12, tokens=14)
    own = Batch(labels, teacher_logits if teacher else None, progress=0.25, last_layers=layers)
    return objective(outputs, own).total.item()
