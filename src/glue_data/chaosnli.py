"""The part of ChaosNLI on MNLI's pairs, from its public release (Nie, Zhou and Bansal 2020, arXiv 2010.03532)."""

import pandas as pd

from src.data.sources.local import read_table
from src.system.errors import UserError
from src.system.files import is_file, sha256_of, user_path

RELEASED = "chaosNLI_mnli_m.jsonl"
RELEASED_SHA256 = "8eb49b589488e7b1a9ec95fb8a864bd50f0509b4f808eed0aed3f8167617664d"
WHERE_FROM = f"name {RELEASED} of ChaosNLI v1.0 (docs/study-data.md says where it is)"
LABELS = {"e": "entailment", "n": "neutral", "c": "contradiction"}


def read_chaosnli(path: str) -> pd.DataFrame:
    """The pairs of the released file, with the majority's label and the votes for each label.

    Returns:
        premise, hypothesis, label (0 to 2), votes_entailment, votes_neutral, votes_contradiction, idx.

    Raises:
        UserError: it is not the released file.
    """
    released = user_path(path)
    if not is_file(released):
        raise UserError(released, "no such file", WHERE_FROM)
    if sha256_of(released) != RELEASED_SHA256:
        raise UserError(released, "its SHA-256 is not that of the release", WHERE_FROM)
    return rows_of_release(read_table(released, []))


def rows_of_release(table: pd.DataFrame) -> pd.DataFrame:
    """The same from the released objects: `example` has the texts, and `label_counter` lacks labels without votes."""
    order = list(LABELS)
    texts = {name: [example[name] for example in table["example"]] for name in ("premise", "hypothesis")}
    votes = {
        f"votes_{name}": [counter.get(label, 0) for counter in table["label_counter"]] for label, name in LABELS.items()
    }
    labels = [order.index(label) for label in table["majority_label"]]
    return pd.DataFrame(texts | {"label": labels} | votes | {"idx": range(len(table))})
