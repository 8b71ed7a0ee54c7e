"""The queries, keys and values of a model's last layer, and a teacher that shows its own for a student's batches."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from src.core.method.relations import LastLayer
from src.core.models.classifier import Classifier

# The kinds of encoders that are known, and the names of the linear layers that make their queries, keys and values.
LIKE_BERT = ("albert", "bert", "camembert", "electra", "roberta", "xlm-roberta")
PROJECTIONS: dict[str, tuple[str, str, str]] = dict.fromkeys(LIKE_BERT, ("query", "key", "value")) | {
    "distilbert": ("q_lin", "k_lin", "v_lin"),
    "mpnet": ("q", "k", "v"),
}


class NoAttention(Exception):
    """A model has no attention whose queries, keys and values are known. The message says why."""


class LastAttention:
    """Records the queries, keys and values of the last layer in each pass of a model.

    If a layer runs several times, as in ALBERT, its last pass is recorded.

    Raises:
        NoAttention: the model is of a kind that `PROJECTIONS` lacks.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        projections = _projections(model)
        self.heads: int = model.config.num_attention_heads
        self._seen: dict[int, Tensor] = {}
        for number, projection in enumerate(projections):
            projection.register_forward_hook(lambda _module, _inputs, output, number=number: self._see(number, output))

    def take(self, known: Tensor) -> LastLayer:
        """The last pass's queries, keys and values, which are then forgotten; `known` (n, tokens) is its mask."""
        query, key, value = (
            self._seen.pop(number).unflatten(-1, (self.heads, -1)).transpose(1, 2) for number in range(3)
        )
        return LastLayer(query, key, value, known.bool())

    def _see(self, number: int, output: Tensor) -> None:
        self._seen[number] = output


def _projections(model: PreTrainedModel) -> list[nn.Module]:
    """The last layer's projections to queries, keys and values."""
    if (kind := model.config.model_type) not in PROJECTIONS:
        raise NoAttention(f"a {kind} model is none of {', '.join(PROJECTIONS)}")
    names = PROJECTIONS[kind]
    children = (dict(module.named_children()) for module in model.base_model.modules())
    *_, last = (own for own in children if own.keys() >= set(names))
    return [last[name] for name in names]


class RelationTeacher:
    """Runs the teacher on the student's batches, without dropout, and returns both last layers.

    Raises:
        NoAttention: one of the two is of an unknown kind, or they differ in heads.
    """

    def __init__(self, student: Classifier, teacher: Classifier) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.of_student, self.of_teacher = LastAttention(student.model), LastAttention(teacher.model)
        if self.of_student.heads != self.of_teacher.heads:
            raise NoAttention(f"they have {self.of_student.heads} and {self.of_teacher.heads} heads")

    def last_layers(self, inputs: dict[str, Tensor]) -> tuple[LastLayer, LastLayer]:
        """The student's last layer in its pass over these inputs, and the teacher's, in a pass that this makes."""
        with torch.no_grad():
            self.teacher(**inputs)
        known = inputs["attention_mask"]
        return self.of_student.take(known), self.of_teacher.take(known)
