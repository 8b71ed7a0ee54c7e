"""Terms that use only h, the vector that enters the head. They have no unit."""

from torch import Tensor

from src.core.method.batch import TrainSums, View
from src.core.method.centroids import Centroids
from src.core.method.losses import CENTRE_MAPS, centre_distances, squared_norms
from src.core.method.terms.base import Run, Term


class CentreLoss(Term):
    """Half the squared distance of h to the mean h of its label (Wen et al. 2016).

    The centroids' rule estimates the means. With `centre_map` unit, h / |h| replaces h.
    """

    name, key = "centre", "centre_weight"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.centres = run.centroids()
        self.map = CENTRE_MAPS[run.settings.centre_map]

    def __call__(self, view: View) -> Tensor:
        """The mean over the labelled rows, after the centres have taken in the batch."""
        vectors = self.map(view.known.features)
        centres = self.centres.update(view.class_sums_without_gradient(vectors))
        return view.mean(centre_distances(vectors, view.labels, centres))

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Let centres that are taken from the train split look at it."""
        self.centres.start_epoch(epoch, lambda: train_sums(lambda outputs: self.map(outputs.features)))

    def stateful(self) -> dict[str, Centroids]:
        """The centres."""
        return {"centres": self.centres}


class NormPenalty(Term):
    """The squared length of h."""

    name, key = "norm", "norm_penalty"

    def __call__(self, view: View) -> Tensor:
        """The mean over the labelled rows."""
        return view.mean(squared_norms(view.known.features))
