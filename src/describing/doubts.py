"""Warnings about a task's data, before training."""

from collections.abc import Iterator

import pandas as pd

from src.describing.readers import Reader

LARGEST_CUT = 0.05  # share of a split's rows


def doubts(labels: pd.DataFrame, texts: pd.DataFrame, lengths: pd.DataFrame, readers: list[Reader]) -> Iterator[str]:
    """A line for each warning, from the tables of `src.describing.tables`."""
    yield from _rare_labels(labels, readers)
    yield from _cut_rows(lengths)
    yield from _known_texts(texts)


def _rare_labels(labels: pd.DataFrame, readers: list[Reader]) -> Iterator[str]:
    """Warn about labels with less than one row per batch: CMI compares the rows of a batch with the same label."""
    advice = "raise batch_size" + (", or leave the label out (drop_labels)" if len(labels) > 2 else "")
    for reader in readers:
        for label, share in zip(labels["label"], labels["share of train"], strict=True):
            if (rows := share * reader.batch_size) < 1:
                of = f"a {reader.role}'s batch of {reader.batch_size} holds {rows:.2f} rows of it on average"
                yield f"label '{label}' is rare: {of}; {advice}"


def _cut_rows(lengths: pd.DataFrame) -> Iterator[str]:
    for line in lengths.to_dict("records"):
        if line["cut"] > LARGEST_CUT:
            what = f"{line['cut']:.1%} of the rows of {line['split']} are longer than max_length {line['max_length']}"
            yield f"{what} of the {line['read by']}: raise max_length ({line['95 %']} tokens cut 5 % of the rows)"


def _known_texts(texts: pd.DataFrame) -> Iterator[str]:
    table = texts.set_index("split")
    for column in filter(lambda name: name.startswith("in "), table):
        for split in ("train", "selection"):
            if count := table.loc[split, column]:
                of = f"{count} rows of {split} have a text of {column.removeprefix('in ')}"
                yield f"{of}; set test_overlap to drop to leave them out"
    if count := table.loc["train", "contradicting"]:
        yield f"{count} rows of train have a text that also occurs with another label"
