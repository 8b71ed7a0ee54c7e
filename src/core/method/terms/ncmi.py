"""The loss of NCMI: CMI over separation, row by row (arXiv 2601.02543; docs/controls.md, The loss of NCMI)."""

from functools import partial

import torch
from torch import Tensor

from src.core.method.batch import TrainSums, View
from src.core.method.centroids import Centroids
from src.core.method.cmi import kl_to_centroids, separation_from_centroids
from src.core.method.terms.base import Run, Term


class Ncmi(Term):
    """The KL of each labelled row to its label's centroid, divided by its separation from the other labels' centroids.

    It has no unit. The gradient flows through numerator and denominator, but not through the centroids. Each label has
    a centroid, whatever `clusters` says.
    """

    name, key = "ncmi", "ncmi_weight"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.centroids = run.centroids()

    def __call__(self, view: View) -> Tensor:
        """The mean over the labelled rows, after the centroids have taken in the batch."""
        p = view.p(self.settings.tau)
        return view.mean(cmi_over_separation(p.log_p, view.labels, self.centroids.update(p.held_sums)))

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Let centroids that are taken from the train split look at its p."""
        self.centroids.start_epoch(epoch, lambda: train_sums(partial(self.run.space.p_of_split, tau=self.settings.tau)))

    def stateful(self) -> dict[str, Centroids]:
        """The centroids."""
        return {"centroids of ncmi": self.centroids}


def cmi_over_separation(log_p: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """KL(p_x || q_y) / SEP_x of each sample, no unit: (N,), from (N, D), (N,) and (C, D).

    It is 0 if no other label has a centroid yet, as after a first batch of one label. Separation is then unknown.
    """
    cmi, apart = kl_to_centroids(log_p, labels, centroids), separation_from_centroids(log_p, labels, centroids)
    ratio = cmi / apart.clamp(min=torch.finfo(apart.dtype).tiny)
    return torch.where(apart > 0, ratio, torch.zeros_like(ratio))
