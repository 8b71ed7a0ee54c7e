"""The queries, keys and values of a model's last layer, and a teacher that shows its own for a student's batches."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from src.core.method.relations import LastLayer
from src.core.models.classifier import Classifier

# Names of the linear layers that make queries, keys and values, in transformers' encoders.
PROJECTIONS = (("query", "key", "value"), ("q_lin", "k_lin", "v_lin"), ("q", "k", "v"))


class NoAttention(Exception):
    """A model has no attention whose queries, keys and values are known. The message says why."""


class LastAttention:
    """Records the queries, keys and values of each pass of a model, in the last layer.

    A layer that is passed several times, as in ALBERT, counts by its last pass.

    Raises:
        NoAttention: no linear layers with known names make them.
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
    found = list(_attentions(model.base_model))
    if not found:
        raise NoAttention(
            f"no layer of a {model.config.model_type} model has queries, keys and values with known names"
        )
    return found[-1]


def _attentions(model: nn.Module) -> Iterator[list[nn.Module]]:
    """The projections of each layer, from the first layer to the last."""
    for module in model.modules():
        children = dict(module.named_children())
        yield from ([children[name] for name in names] for names in PROJECTIONS if children.keys() >= set(names))


class RelationTeacher:
    """A teacher that passes its student's batches too, without dropout, to show how its last layer relates tokens.

    Raises:
        NoAttention: one of the two has no known attention, or they differ in heads.
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
