"""Which run of an arm predicts a task's official test split, and what it predicts."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from src.core.models.classifier import load_classifier
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.half_precision import round_products
from src.core.training.environment import precision_of, start
from src.core.training.inference import predict
from src.errors import UserError
from src.params import ModelSource, Params, Role
from src.runs import RunName, load_run

MODEL = "model"


def best_run(params: Params, task: str, role: Role, arm: str) -> RunName:
    """The run of an arm with the best selection score in its best epoch, ties by the lower selection NLL.

    Raises:
        UserError: a run is not there, or none of its weights are.
    """
    metric, runs = params.task(task).metrics[0], [RunName(task, role, arm, seed) for seed in params.seeds_of(task)]
    best = max(runs, key=lambda run: _selection_score(run, metric))
    if not (best.folder() / MODEL).is_dir():
        allowed = "set runtime.keep_weights: true in params.yaml, and run `dvc repro`"
        raise UserError(best.folder() / MODEL, "the weights of this run were not kept", allowed)
    return best


def _selection_score(run: RunName, metric: str) -> tuple[float, float]:
    result = load_run(run.folder())
    row = result.history.iloc[result.record["best_epoch"] - 1]
    return float(row[f"selection_{metric}"]), -float(row["selection_nll"])


def predicted_labels(run: RunName, texts: pd.DataFrame, params: Params, label_names: Sequence[str]) -> list[int]:
    """The numbers of the labels that a run's kept model gives to texts, in their order."""
    accelerator = start(params.runtime)
    source = ModelSource(source="folder", name=str(Path(run.folder() / MODEL).absolute()))
    tokenizer, max_length = load_tokenizer(source), load_run(run.folder()).record["training"]["max_length"]
    rows = encode(list(texts.itertuples(index=False, name=None)), tokenizer, max_length)
    model = load_classifier(source, list(label_names), tokenizer.pad_token_id, 0, int(rows.lengths.max()))
    round_products(model, precision_of(params.runtime))
    return predict(model.to(accelerator.device), rows, accelerator).logits.argmax(dim=1).tolist()
