"""Terms of a model's predictions: against labels, against a teacher, and their entropy."""

from torch import Tensor

from src.core.method.batch import Batch, View
from src.core.method.losses import KD_LOSSES, entropies, label_loss
from src.core.method.terms.base import Term
from src.params import Objective


def left_to_labels(settings: Objective, batch: Batch) -> float:
    """The share of the loss that the teacher leaves to the labels; 1 without a teacher."""
    return 1.0 if batch.teacher_logits is None else 1 - settings.alpha


class LabelLoss(Term):
    """The loss on labels: cross-entropy, or the squared distance, which has no unit."""

    name, in_every_run = "label", True

    def weight(self, batch: Batch) -> float:
        """label_weight times the share that the teacher and supervised contrastive learning leave to the labels."""
        share = 1 - self.settings.contrastive_weight
        return self.settings.label_weight * left_to_labels(self.settings, batch) * share

    def __call__(self, view: View) -> Tensor:
        """The mean over the labelled rows."""
        return view.mean(label_loss(view.known.logits.float(), view.labels, self.settings))


class Distillation(Term):
    """The distance to the teacher; 0 without one."""

    name, key, in_every_run, of_all_rows = "kd", "alpha", True, True

    def weight(self, batch: Batch) -> float:
        """alpha with a teacher, 0 without one."""
        return 0.0 if batch.teacher_logits is None else self.settings.alpha

    def __call__(self, view: View) -> Tensor:
        """The mean over all rows, including rows without a label."""
        logits, teacher = view.outputs.logits.float(), view.batch.teacher_logits
        if teacher is None:
            return logits.new_zeros(())
        return view.mean_of_all(KD_LOSSES[self.settings.kd_loss].of_rows(logits, teacher, self.settings.temperature))


class Entropy(Term):
    """The entropy of the predictions, which the confidence penalty rewards."""

    name, key, in_every_run = "entropy", "confidence_penalty", True

    def weight(self, batch: Batch) -> float:
        """Minus confidence_penalty: more entropy lowers the loss."""
        return -self.settings.confidence_penalty

    def __call__(self, view: View) -> Tensor:
        """The mean over the labelled rows."""
        return view.mean(entropies(view.known.logits))
