"""The base class of the objective's terms."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from src.core.method.batch import Batch, TrainSums, View
from src.core.method.centroids import Centroids, make_centroids
from src.core.method.spaces import OutputSpace
from src.params import Objective


@dataclass(frozen=True)
class Run:
    """The facts about a run that a term may use: objective, space, number of classes, and parts of a batch."""

    settings: Objective
    num_classes: int
    space: OutputSpace
    parts: int = 1

    def centroids(self) -> Centroids:
        """Centroids by the objective's rule, which forget at the same rate as without parts."""
        return make_centroids(self.settings.centroid, self.settings.momentum ** (1 / self.parts))


class Term:
    """One term of the objective, in nats unless its class says otherwise.

    Attributes:
        name: the name in histories, after `loss_`.
        key: the key of the weight in `Objective`; empty if several keys make the weight.
        in_every_run: whether a history has the term even if its weight is 0.
        of_all_rows: whether the term is a mean over all rows of a batch, and not only over rows with a label.
        passes: the number of times that a step passes each row. Rows of the second pass come after all of the first.
        limit_in_parts: why several processes or parts cannot share a batch, to follow the key; empty if they can.
    """

    name: ClassVar[str]
    key: ClassVar[str] = ""
    in_every_run: ClassVar[bool] = False
    of_all_rows: ClassVar[bool] = False
    passes: ClassVar[int] = 1
    limit_in_parts: ClassVar[str] = ""

    def __init__(self, run: Run) -> None:
        self.run, self.settings = run, run.settings

    @classmethod
    def is_weighted(cls, settings: Objective) -> bool:
        """Whether an objective gives the term a weight."""
        return bool(getattr(settings, cls.key))

    def weight(self, batch: Batch) -> float:
        """The factor of the term in the loss of a batch."""
        return getattr(self.settings, self.key)

    def __call__(self, view: View) -> Tensor:
        """The term of a batch, or the share of one part: a scalar, without the weight."""
        raise NotImplementedError

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Look at the train split before an epoch, if the term has centroids."""

    def stateful(self) -> dict[str, Centroids]:
        """The states that the term keeps from batch to batch, by name."""
        return {}
