"""Tables of a prepared task: rows of each label, texts that occur twice, lengths in tokens."""

import numpy as np
import pandas as pd

from src.core.metrics import task_scores
from src.core.models.encoding import encode
from src.core.models.tokenizer import LARGEST_TOKEN, load_tokenizer
from src.data.prepared import LabelledSplit, PreparedTask, Split
from src.data.sources.labelled_text import TEXT_NAMES
from src.data.splits import comparable_texts, share_texts
from src.describing.readers import Reader
from src.params import ModelSource

WITHOUT_LIMIT = LARGEST_TOKEN  # of tokens in a row


def label_table(task: PreparedTask) -> pd.DataFrame:
    """A row per label: its number and share of rows in train and in selection."""
    columns: dict[str, list] = {"label": task.label_names}
    for name, split in (("train", task.train), ("selection", task.selection)):
        counts = np.bincount(split.labels, minlength=len(task.label_names))
        columns |= {name: counts.tolist(), f"share of {name}": list(counts / counts.sum())}
    return pd.DataFrame(columns)


def text_table(task: PreparedTask) -> pd.DataFrame:
    """A row per split: its number of rows, and how many of them have a text (or pair of texts) that occurs elsewhere.

    `repeated` rows have the text of an earlier row. `contradicting` rows, in train and selection only, have the text of
    a row with another label. `in test` rows have a text of test. A second test set has a column like `in test`.
    """
    texts = {name: _texts(split) for name, split in task.splits.items() if len(split)}
    tested = [name for name in ("test", "also_test") if name in texts]
    lines = []
    for name, rows in texts.items():
        line = {"split": name, "rows": len(rows), "repeated": int(comparable_texts(rows).duplicated().sum())}
        line["contradicting"] = _contradicting(rows, task.splits[name])
        line |= {f"in {other}": int(share_texts(rows, texts[other]).sum()) for other in tested if other != name}
        lines.append(line)
    return pd.DataFrame(lines).convert_dtypes().astype(object).fillna("-")


def length_table(task: PreparedTask, readers: list[Reader]) -> pd.DataFrame:
    """A row for each tokenizer, max_length and split: the tokens of uncut rows, and the share of rows that is cut.

    Raises:
        UserError: a tokenizer cannot be used.
    """
    lines = []
    for reader in readers:
        lengths = _lengths(task, reader.model)
        for most in reader.max_lengths:
            for split, tokens in lengths.items():
                middle, high, longest = np.quantile(tokens, [0.5, 0.95, 1], method="inverted_cdf")
                line = {"read by": reader.role, "split": split, "median": middle, "95 %": high, "longest": longest}
                lines.append(line | {"max_length": most, "cut": float((tokens > most).mean())})
    return pd.DataFrame(lines)


def majority(task: PreparedTask) -> tuple[str, dict[str, float]]:
    """The most frequent label of train, and the task's metrics on selection if every prediction is this label."""
    classes = len(task.label_names)
    most = int(np.bincount(task.train.labels, minlength=classes).argmax())
    logits = np.tile(np.eye(classes)[most], (len(task.selection), 1))
    return task.label_names[most], task_scores(task.metrics, task.selection.labels, logits)


def _lengths(task: PreparedTask, model: ModelSource) -> dict[str, np.ndarray]:
    """The number of tokens (N,) of each row by split, including special tokens."""
    tokenizer = load_tokenizer(model, pairs=len(task.train.texts[0]) == 2)
    splits = {name: split for name, split in task.splits.items() if len(split)}
    return {name: encode(split.texts, tokenizer, WITHOUT_LIMIT).lengths.numpy() for name, split in splits.items()}


def _texts(split: Split) -> pd.DataFrame:
    return pd.DataFrame(split.texts, columns=list(TEXT_NAMES[: len(split.texts[0])]))


def _contradicting(texts: pd.DataFrame, split: Split) -> int | None:
    """The number of rows whose text occurs with several labels; None for a split whose labels are not read."""
    if not isinstance(split, LabelledSplit):
        return None
    labels = pd.Series(split.labels).groupby(comparable_texts(texts))
    return int((labels.transform("nunique") > 1).sum())
