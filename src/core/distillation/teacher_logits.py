"""Teacher logits for distillation, computed once after the teacher's training."""

import numpy as np

from src.data.prepared import PreparedTask
from src.runs import RunName, load_logits, split_logits
from src.system.errors import UserError


def teacher_logits(task: PreparedTask, arm: str, seed: int, transfer: bool) -> np.ndarray:
    """A teacher's logits (N, C) for the train rows, followed by the transfer rows if `transfer` is true.

    Raises:
        UserError: the teacher has not been trained or was trained on other rows, or there are no transfer rows.
    """
    folder = RunName(task.name, "teacher", arm, seed).folder()
    table = load_logits(folder)
    logits = split_logits(table, "train", task.train.row_ids, folder)
    if not transfer:
        return logits
    if not len(task.transfer):
        key = f"params.yaml: task_settings.{task.name}.max_rows"
        allowed = "set transfer above 0 and train below the number of rows, or give a transfer_file"
        raise UserError(key, "leaves no transfer rows for the recipe's transfer: true", allowed)
    return np.concatenate([logits, split_logits(table, "transfer", task.transfer.row_ids, folder)])


def selection_logits(task: PreparedTask, arm: str, seed: int) -> np.ndarray:
    """A teacher's logits (N, C) for the selection rows.

    Raises:
        UserError: the teacher has not been trained, or was trained on other rows.
    """
    folder = RunName(task.name, "teacher", arm, seed).folder()
    return split_logits(load_logits(folder), "selection", task.selection.row_ids, folder)
