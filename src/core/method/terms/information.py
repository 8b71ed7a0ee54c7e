"""CMI and Gamma of a batch, in the objective's space (docs/method.md, CMI)."""

from functools import partial

import torch
from torch import Tensor

from src.core.method.batch import Batch, Distributions, TrainSums, View
from src.core.method.centroids import Centroids
from src.core.method.cmi import ClassSums, kl_to_centroids, separation_of_sums
from src.core.method.terms.base import Run, Term


class Cmi(Term):
    """CMI: the KL of each labelled row to the centroid of its cluster.

    With `taus` it is the mean over these temperatures, each with its own centroids (CMIM, arXiv 2507.00012).
    """

    name, key, in_every_run = "cmi", "cmi_weight", True

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.taus = run.settings.taus or [run.settings.tau]
        self.centroids = [run.centroids() for _ in self.taus]
        self.of_classes = run.settings.clusters == "class"

    def weight(self, batch: Batch) -> float:
        """cmi_weight / cmi_unit. It rises linearly from 0 over the first share `cmi_warmup` of the steps."""
        warmup = self.settings.cmi_warmup
        risen = min(batch.progress / warmup, 1.0) if warmup else 1.0
        return self.settings.cmi_weight * risen / self.settings.cmi_unit

    def __call__(self, view: View) -> Tensor:
        """The mean over the labelled rows, after the centroids have taken in the batch."""
        cluster = view.labels if self.of_classes else torch.zeros_like(view.labels)

        def at(p: Distributions, centroids: Centroids) -> Tensor:
            return view.mean(kl_to_centroids(p.log_p, cluster, centroids.update(self._clustered(p.held_sums))))

        return torch.stack([at(view.p(tau), own) for tau, own in zip(self.taus, self.centroids, strict=True)]).mean()

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Let centroids that are taken from the train split look at its p."""
        for tau, own in zip(self.taus, self.centroids, strict=True):
            p_of_split = partial(self.run.space.p_of_split, tau=tau)
            own.start_epoch(epoch, lambda p=p_of_split: self._clustered(train_sums(p)))

    def stateful(self) -> dict[str, Centroids]:
        """The centroids of each temperature."""
        return {f"centroids at {tau}": own for tau, own in zip(self.taus, self.centroids, strict=True)}

    def _clustered(self, sums: ClassSums) -> ClassSums:
        """The sums of the clusters, from the sums of the labels: unchanged, or one sum of all rows."""
        if self.of_classes:
            return sums
        return ClassSums(sums.totals.sum(dim=0, keepdim=True), sums.counts.sum(dim=0, keepdim=True))


class Gamma(Term):
    """Gamma, the separation of the classes, over the pairs within each part of a batch."""

    name, key, in_every_run = "gamma", "separation_weight", True

    def weight(self, batch: Batch) -> float:
        """Minus separation_weight: more separation lowers the loss."""
        return -self.settings.separation_weight

    def __call__(self, view: View) -> Tensor:
        """This part's share of the batch's mean over parts."""
        p = view.p(self.settings.tau)
        gamma = separation_of_sums(p.sums.totals, view.class_sums(p.log_p).totals, view.part_rows)
        return gamma if view.part_rows == view.labelled_rows else gamma * (view.part_rows / view.labelled_rows)
