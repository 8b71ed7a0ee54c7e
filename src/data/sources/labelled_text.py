"""The result of every data source: labelled rows of one or two texts, and the names of the labels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `src.system.files` gives the reason
    import pandas as pd

HUMAN_PREFIX = "human_"
CLUSTER = "cluster"  # the column of test labels that numbers the clusters of rows with a common text
SEED = "seed"  # the column of labels that says whose cut a row is in, if each seed has its own cut
TEXT_NAMES = ("text_a", "text_b")


@dataclass(frozen=True)
class LabelledText:
    """Rows with the columns row_id, text_a, optionally text_b, label (0 to C - 1) and group.

    Rows of one group always go to the same split. If several people rated the rows, a column `human_<label name>` per
    class has their shares. `dropped` counts the rows that `drop_labels` left out.
    """

    rows: "pd.DataFrame"
    label_names: list[str]
    licence: str
    dropped: int = 0

    @property
    def human_columns(self) -> list[str]:
        """The names of the columns with the raters' shares, in label order; empty without raters."""
        columns = [HUMAN_PREFIX + name for name in self.label_names]
        return columns if set(columns) <= set(self.rows.columns) else []
