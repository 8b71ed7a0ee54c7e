"""What a term of the objective is."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from src.core.method.batch import Batch, TrainSums, View
from src.core.method.centroids import Centroids, make_centroids
from src.core.method.spaces import OutputSpace
from src.params import Objective


@dataclass(frozen=True)
class Run:
    """What a term may know of its run: the objective with its space, the classes, and the parts of a batch."""

    settings: Objective
    num_classes: int
    space: OutputSpace
    parts: int = 1

    def centroids(self) -> Centroids:
        """Centroids by the objective's rule, which take as long to forget as without parts."""
        return make_centroids(self.settings.centroid, self.settings.momentum ** (1 / self.parts))


class Term:
    """One term of the objective, in nats where its class says nothing else.

    Attributes:
        name: in histories, after `loss_`.
        key: of its weight in `Objective`; none of a term that no single key weighs.
        in_every_run: whether a history has it also where its weight is 0.
        of_all_rows: whether it is a mean over all rows of a batch, and not over those with a label.
        passes: how often a step passes each row of a batch. All rows of the second pass come after those of the first.
        limit_in_parts: why several processes or parts cannot share a batch, after the key; none if they can.
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
        """What the term is multiplied with in the loss of a batch."""
        return getattr(self.settings, self.key)

    def __call__(self, view: View) -> Tensor:
        """The term of a batch, or its part's share of it: a scalar, without the weight."""
        raise NotImplementedError

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Look at the train split before an epoch, where the term has centroids."""

    def stateful(self) -> dict[str, Centroids]:
        """By name: what the term gathers from batch to batch."""
        return {}
