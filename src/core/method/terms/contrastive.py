"""Terms that compare rows with other rows of their batch, or with the same row under other dropout masks."""

from torch import Tensor

from src.core.method.batch import Batch, View
from src.core.method.losses import contrastive_losses, kl_between_passes, partners
from src.core.method.terms.base import Term
from src.core.method.terms.outputs import left_to_labels


class Contrastive(Term):
    """Supervised contrastive learning on h / |h| (SCL; Gunel et al. 2021, arXiv 2011.01403).

    Its weight is a share of the weight of the loss on labels.
    """

    name, key = "contrastive", "contrastive_weight"
    limit_in_parts = "compares all pairs of rows in a batch, but several processes or parts share the batch"

    def weight(self, batch: Batch) -> float:
        """Its share of the weight that the teacher leaves to the labels."""
        return left_to_labels(self.settings, batch) * self.settings.contrastive_weight

    def __call__(self, view: View) -> Tensor:
        """The mean over the rows that have a partner in the batch; 0 if none has, as in a batch of one class."""
        are_partners = partners(view.labels)
        losses = contrastive_losses(view.known.features, are_partners, self.settings.contrastive_tau)
        return losses.sum() / are_partners.any(dim=-1).sum().clamp(min=1)


class RDrop(Term):
    """The KL between the predictions of two passes under dropout (R-Drop; Wu et al. 2021, arXiv 2106.14448)."""

    name, key = "r_drop", "r_drop_weight"
    passes = 2

    def __call__(self, view: View) -> Tensor:
        """The mean over the labelled rows of KL(p1 || p2) and KL(p2 || p1)."""
        return view.mean(kl_between_passes(view.known.logits))
