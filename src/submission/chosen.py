"""The run of an arm that predicts a task's official test split, and its predictions."""

import pandas as pd

from src.core.machine.device import precision_of
from src.core.machine.environment import start
from src.core.models.encoding import encode
from src.core.speed.half_precision import round_products
from src.core.training.inference import predict
from src.core.training.loop import epoch_score
from src.kept_models import kept_folder, load_kept
from src.params import Params, Role, Runtime
from src.runs import RunName
from src.system.files import read_csv, read_json


def best_run(params: Params, task: str, role: Role, arm: str) -> RunName:
    """The run of an arm with the best selection score in its best epoch. The lower selection NLL breaks ties.

    Raises:
        UserError: a run is missing, or the best run kept no weights.
    """
    metric, runs = params.task(task).metrics[0], [RunName(task, role, arm, seed) for seed in params.seeds_of(task)]
    best = max(runs, key=lambda run: _selection_score(run, metric))
    kept_folder(best)  # raises its error before another task is predicted
    return best


def _selection_score(run: RunName, metric: str) -> tuple[float, float]:
    history, record = read_csv(run.folder() / "history.csv"), read_json(run.folder() / "record.json")
    return epoch_score(history.iloc[record["best_epoch"] - 1], metric)


class Predictor:
    """The kept model of a run, ready to predict."""

    def __init__(self, run: RunName, label_names: list[str], runtime: Runtime) -> None:
        self.accelerator, self.kept = start(runtime), load_kept(run, label_names)
        round_products(self.kept.source, self.kept.model, precision_of(runtime), self.kept.tokenizer.pad_token_id)
        self.kept.model.to(self.accelerator.device)

    def labels_of(self, texts: pd.DataFrame) -> list[int]:
        """The numbers of the predicted labels, in the order of the texts."""
        rows = encode(list(texts.itertuples(index=False, name=None)), self.kept.tokenizer, self.kept.max_length)
        return predict(self.kept.model, rows, self.accelerator).logits.argmax(dim=1).tolist()
