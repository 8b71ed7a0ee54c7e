"""Tokenised splits with labels, and the data of a run."""

from dataclasses import dataclass

import torch
from torch import Tensor

from src.core.method.batch import NO_LABEL, Batch
from src.core.models.encoding import EncodedSplit


@dataclass(frozen=True)
class LabelledTokens:
    """A tokenised split with its labels (N,) and, with a teacher, the teacher's logits (N, C).

    A row without a label has `NO_LABEL`. Only a train split has such rows, after its labelled rows.
    """

    tokens: EncodedSplit
    labels: Tensor
    teacher_logits: Tensor | None = None

    def first(self, rows: int) -> "LabelledTokens":
        """The first rows, without the teacher's logits."""
        return LabelledTokens(self.tokens.first(rows), self.labels[:rows])

    def rows(self, numbers: Tensor) -> "LabelledTokens":
        """The rows with these numbers."""
        teacher = None if self.teacher_logits is None else self.teacher_logits[numbers]
        return LabelledTokens(self.tokens.rows(numbers), self.labels[numbers], teacher)

    def labelled(self) -> "LabelledTokens":
        """The rows that have a label, without the teacher's logits."""
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
        """The model's inputs and the objective's view of one process's share of a batch, or of a part of a batch.

        With two `passes` the share comes twice: n rows, then the same n rows, which get other dropout masks.
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
    """The data of a run: train rows, selection rows that choose the epoch, and train rows on which CMI is measured."""

    train: LabelledTokens
    selection: LabelledTokens
    diagnostic: LabelledTokens
    num_classes: int
    metrics: list[str]
