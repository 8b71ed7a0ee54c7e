"""The term that compares how the last layers of student and teacher relate tokens."""

from torch import Tensor

from src.core.method.batch import View
from src.core.method.relations import relation_losses
from src.core.method.terms.base import Term


class Relation(Term):
    """The KL from the teacher's relations between tokens to the student's, in their last layers.

    It is the loss of MiniLM (arXiv 2002.10957).
    """

    name, key, of_all_rows = "relation", "relation_weight", True

    def __call__(self, view: View) -> Tensor:
        """The mean over all rows, including rows without a label."""
        assert view.batch.last_layers is not None  # a run with this term has a teacher's model
        return view.mean_of_all(relation_losses(*view.batch.last_layers))
