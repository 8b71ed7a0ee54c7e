"""Exports a classifier as an ONNX graph of logits and h, with torch's exporter.

    inputs   input_ids, attention_mask[, token_type_ids]    (batch, length), int64
    outputs  logits (batch, C), h (batch, d)                float32

The exporter uses `torch.export`. The older one, which uses TorchScript, keeps the example's length or mask in the
graph. Most of its graphs silently give other numbers for other batches.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from src.core.models.classifier import Classifier
from src.core.models.encoding import EncodedSplit
from src.core.models.files import raise_if_memory
from src.core.models.head_input import trial_inputs, understood, watch
from src.export.extra import quiet
from src.system.errors import UserError, first_line

if TYPE_CHECKING:
    import onnx_ir

OPSET = 18
OUTPUTS = ("logits", "h")
BATCH, LENGTH = "batch", "length"


def input_names(model: Classifier, tokens: EncodedSplit) -> list[str]:
    """The inputs that a tokenizer has values for and that the model names."""
    return list(understood(model.model, tokens.batch(torch.arange(1))))


def write_graph(model: Classifier, names: list[str], target: Path) -> None:
    """Write a classifier as an ONNX file. Weights of more than 2 GB go to `<target>.data` beside it.

    Raises:
        UserError: torch cannot export this kind of model.
    """
    example = trial_inputs(model.model, model.model.config.pad_token_id)
    any_size = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _named_fault(model), quiet():
        program = torch.onnx.export(
            _Graph(model, names).eval(),
            tuple(example[name] for name in names),
            input_names=names,
            output_names=OUTPUTS,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=((any_size,) * len(names),),
            verbose=False,
        )
        assert program is not None  # its type would allow None
        _tidy(program.model)
        program.save(target)


class _Graph(nn.Module):
    """Logits and h from inputs in the order of `names`.

    Unlike `Classifier`, it keeps the vectors of a pass in local variables: the exporter follows no other changes.
    """

    def __init__(self, classifier: Classifier, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = classifier.model, names
        self.source, self.rule = classifier.head_input

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        inputs = dict(zip(self.names, values, strict=True))
        seen: dict[str, Tensor] = {}
        handles = watch(self.model, seen)
        logits = self.model(**inputs).logits
        for handle in handles:
            handle.remove()
        return logits, self.rule(seen[self.source], inputs, self.model.config.pad_token_id)


def _tidy(model: "onnx_ir.Model") -> None:
    """Name the dimensions of any size. Drop the exporter's notes of source lines, which have this machine's paths."""
    from onnx_ir import Shape, traversal

    for value in model.graph.inputs:
        value.shape = Shape([BATCH, LENGTH])
    for value in model.graph.outputs:
        assert value.shape is not None
        value.shape = Shape([BATCH, value.shape[1]])
    for node in traversal.RecursiveGraphIterator(model.graph):
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for values in (model.graph.inputs, model.graph.initializers.values()):
        for value in values:
            value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()


@contextmanager
def _named_fault(model: Classifier) -> Generator[None]:
    """Turn an exception of the exporter, which an unsupported model can break anywhere, into a UserError."""
    try:
        yield
    except (OSError, UserError, MemoryError):
        raise
    except Exception as error:
        raise_if_memory(error)
        problem = f"torch cannot export a {model.model.config.model_type} model"
        allowed = "use another kind of model; docs/take-away.md lists kinds that work"
        raise UserError("--format onnx", f"{problem} ({first_line(error.__cause__ or error)})", allowed) from None
