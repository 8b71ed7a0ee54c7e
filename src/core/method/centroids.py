"""Estimators of the class centroids q_y that the training loss compares each sample with (docs/method.md, Centroids).

Optimisation alternates between model and centroids: no gradient flows through q. An estimator sees class sums of p and
no rows, so several processes can add up their sums.

| name   | rule                                                        |
|--------|-------------------------------------------------------------|
| batch  | the mean of this batch                                      |
| ema    | q <- m q + (1 - m) batch mean, with a bias-corrected start  |
| epoch  | the mean over the train split, taken before each epoch      |
| frozen | the mean over the train split, taken once before training   |
"""

from collections.abc import Callable

import torch
from torch import Tensor

from src.core.method.cmi import ClassSums, class_means
from src.params import Centroid

TrainSums = Callable[[], ClassSums]


class Centroids:
    """The mean of this batch, and the base of the other estimators.

    With n samples of a class, CMI is biased low by the factor 1 - 1/n.
    """

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Look at the train split before an epoch; `train_sums()` costs one pass over it."""

    def update(self, sums: ClassSums) -> Tensor:
        """Take in the class sums of p of a (global) batch, and return q (C, D), positive for the batch's classes."""
        return class_means(sums)

    def state_dict(self) -> dict[str, Tensor]:
        """The estimator's state: all its attributes that are tensors."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def load_state_dict(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Restore a state that `state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, value.to(device))


class EmaCentroids(Centroids):
    """A moving average per class. A class that is absent from a batch keeps its average.

    The start is bias-corrected as in Adam: the average is divided by the weight that it has gathered.
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.average = self.weight = torch.empty(0)  # until the first batch

    def update(self, sums: ClassSums) -> Tensor:
        """Take in a batch, and return the average."""
        means = class_means(sums)
        if not len(self.average):
            self.average, self.weight = torch.zeros_like(means), torch.zeros_like(sums.counts)
        step = (1 - self.momentum) * (sums.counts > 0)
        self.average = self.average + step.unsqueeze(1) * (means - self.average)
        self.weight = self.weight + step * (1 - self.weight)
        return self.value

    @property
    def value(self) -> Tensor:
        """The current average (C, D); zeros for classes that no batch has had yet."""
        return self.average / self.weight.clamp(min=torch.finfo(self.weight.dtype).tiny).unsqueeze(1)


class TrainSplitCentroids(Centroids):
    """The exact means over the train split, taken before every epoch or only before the first."""

    def __init__(self, every_epoch: bool) -> None:
        self.every_epoch = every_epoch
        self.means = torch.empty(0)  # until the first epoch

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Take the means before the first epoch, or before each one if `every_epoch` is true."""
        if epoch == 0 or self.every_epoch:
            self.means = class_means(train_sums())

    def update(self, sums: ClassSums) -> Tensor:
        """Return the means as last taken; a batch does not change them."""
        return self.means


CENTROIDS: dict[Centroid, Callable[[float], Centroids]] = {
    "batch": lambda momentum: Centroids(),
    "ema": EmaCentroids,
    "epoch": lambda momentum: TrainSplitCentroids(every_epoch=True),
    "frozen": lambda momentum: TrainSplitCentroids(every_epoch=False),
}


def make_centroids(name: Centroid, momentum: float) -> Centroids:
    """The estimator of that name. Only ema uses `momentum`."""
    return CENTROIDS[name](momentum)
