"""Tokenised splits with labels, and what a run trains on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from src.core.method.batch import NO_LABEL, Batch
from src.core.models.encoding import EncodedSplit


@dataclass(frozen=True)
class LabelledTokens:
    """A tokenised split with its labels (N,) and, where there is a teacher, the teacher's logits (N, C).

    Rows without a label have `NO_LABEL`; only a train split has any, after its labelled rows.
    """

    tokens: EncodedSplit
    labels: Tensor
    teacher_logits: Tensor | None = None

    def first(self, rows: int) -> "LabelledTokens":
        """The first rows only, without the teacher."""
        return LabelledTokens(self.tokens.first(rows), self.labels[:rows])

    def rows(self, numbers: Tensor) -> "LabelledTokens":
        """Some rows only, by number."""
        teacher = None if self.teacher_logits is None else self.teacher_logits[numbers]
        return LabelledTokens(self.tokens.rows(numbers), self.labels[numbers], teacher)

    def labelled(self) -> "LabelledTokens":
        """The rows that have a label, without the teacher."""
        return self.first(int((self.labels != NO_LABEL).sum()))

    def batch(
        self,
        rows: Tensor,
        process: int,
        processes: int,
        progress: float,
        device: torch.device,
        part: Tensor | None = None,
        passes: int = 1,
    ) -> tuple[dict[str, Tensor], Batch]:
        """The model's inputs and the objective's view of one process's share of a batch's rows, or of some of them.

        With two `passes` the share comes twice: n rows, and the same n rows again under dropout masks of their own.
        """
        own = (rows if part is None else part)[process::processes].repeat(passes)
        inputs = {name: values.to(device) for name, values in self.tokens.batch(own).items()}
        batch = Batch(
            labels=self.labels[own].to(device),
            teacher_logits=None if self.teacher_logits is None else self.teacher_logits[own].to(device),
            global_rows=passes * len(rows),
            global_labelled=passes * self._count_labelled(rows),
            part_labelled=None if part is None else passes * self._count_labelled(part),
            progress=progress,
        )
        return inputs, batch

    def _count_labelled(self, rows: Tensor) -> int:
        return int((self.labels[rows] != NO_LABEL).sum())


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on, what chooses its epoch, and the train rows on which CMI is measured."""

    train: LabelledTokens
    selection: LabelledTokens
    diagnostic: LabelledTokens
    num_classes: int
    metrics: list[str]
