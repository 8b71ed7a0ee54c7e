"""Which run of an arm predicts a task's official test split, and its kept model."""

from pathlib import Path

import pandas as pd

from src.core.models.classifier import load_classifier
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.half_precision import round_products
from src.core.training.device import precision_of
from src.core.training.environment import start
from src.core.training.inference import predict
from src.errors import UserError
from src.files import read_csv, read_json
from src.params import ModelSource, Params, Role, Runtime
from src.runs import RunName

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
    history, record = read_csv(run.folder() / "history.csv"), read_json(run.folder() / "record.json")
    row = history.iloc[record["best_epoch"] - 1]
    return float(row[f"selection_{metric}"]), -float(row["selection_nll"])


class KeptModel:
    """The model that a run kept, as it predicts."""

    def __init__(self, run: RunName, label_names: list[str], runtime: Runtime) -> None:
        self.accelerator = start(runtime)
        self.max_length: int = read_json(run.folder() / "record.json")["training"]["max_length"]
        source = ModelSource(source="folder", name=str(Path(run.folder() / MODEL).absolute()))
        self.tokenizer = load_tokenizer(source)
        self.model = load_classifier(source, label_names, self.tokenizer.pad_token_id, seed=0, tokens=self.max_length)
        round_products(source, self.model, precision_of(runtime), self.tokenizer.pad_token_id)
        self.model.to(self.accelerator.device)

    def labels_of(self, texts: pd.DataFrame) -> list[int]:
        """The numbers of the labels that it gives to texts, in their order."""
        rows = encode(list(texts.itertuples(index=False, name=None)), self.tokenizer, self.max_length)
        return predict(self.model, rows, self.accelerator).logits.argmax(dim=1).tolist()
