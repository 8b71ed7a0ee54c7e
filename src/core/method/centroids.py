"""Estimators of the class centroids q_y that the training loss compares each sample with (docs/method.md, Centroids).

Optimisation alternates between model and centroids: no gradient flows through q. An estimator sees class sums of p, not
the rows themselves, so that several processes can add up theirs.

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
    """The mean of this batch: CMI is biased low by the factor 1 - 1/n for n samples of a class.

    The other estimators build on it.
    """

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Look at the train split before an epoch; `train_sums()` costs one pass over it."""

    def update(self, sums: ClassSums) -> Tensor:
        """Take in a (global) batch's class sums of p; return q (C, D), positive for the batch's classes."""
        return class_means(sums)

    def state_dict(self) -> dict[str, Tensor]:
        """What the estimator has gathered so far."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def load_state_dict(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Put back what `state_dict` gave."""
        for name, value in state.items():
            setattr(self, name, value.to(device))


class EmaCentroids(Centroids):
    """A moving average per class. Classes absent from a batch keep theirs.

    The start is bias-corrected as in Adam: the average is divided by the weight that it has gathered so far.
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.average = self.weight = torch.empty(0)  # until the first batch

    def update(self, sums: ClassSums) -> Tensor:
        """The average with this batch taken in."""
        means = class_means(sums)
        if not len(self.average):
            self.average, self.weight = torch.zeros_like(means), torch.zeros_like(sums.counts)
        step = (1 - self.momentum) * (sums.counts > 0)
        self.average = self.average + step.unsqueeze(1) * (means - self.average)
        self.weight = self.weight + step * (1 - self.weight)
        return self.value

    @property
    def value(self) -> Tensor:
        """The average (C, D) as it is; zeros for classes that have not come yet."""
        return self.average / self.weight.clamp(min=torch.finfo(self.weight.dtype).tiny).unsqueeze(1)


class TrainSplitCentroids(Centroids):
    """The exact means over the train split, taken before the first epoch only or before each."""

    def __init__(self, every_epoch: bool) -> None:
        self.every_epoch = every_epoch
        self.means = torch.empty(0)  # until the first epoch

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Take the means, if it is time."""
        if epoch == 0 or self.every_epoch:
            self.means = class_means(train_sums())

    def update(self, sums: ClassSums) -> Tensor:
        """The means as last taken; the batch does not move them."""
        return self.means


CENTROIDS: dict[Centroid, Callable[[float], Centroids]] = {
    "batch": lambda momentum: Centroids(),
    "ema": EmaCentroids,
    "epoch": lambda momentum: TrainSplitCentroids(every_epoch=True),
    "frozen": lambda momentum: TrainSplitCentroids(every_epoch=False),
}


def make_centroids(name: Centroid, momentum: float) -> Centroids:
    """The estimator of that name; `momentum` is for ema alone."""
    return CENTROIDS[name](momentum)
