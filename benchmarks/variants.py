"""The variants of a row of the benchmark: a model and a precision. bf16 needs a CPU that multiplies it in hardware."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from benchmarks.figures import Figure, skipped
from src.core.speed.instructions import bf16_instructions
from src.params import Precision

NO_BF16 = "this CPU has no instructions for products in bf16"

Model = Literal["MiniLM", "MPNet"]
MODELS: tuple[Model, ...] = get_args(Model)
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
STUDIES: dict[Model, str | None] = {"MiniLM": None, "MPNet": "mpnet"}  # the study with the models; None: params.yaml
FEWER_STEPS: dict[Model, int] = {"MiniLM": 1, "MPNet": 5}  # the time of a step, as a multiple of MiniLM's


@dataclass(frozen=True)
class Variant:
    """A model in a precision. Its text is the suffix of a figure's name, which is empty for MiniLM in fp32."""

    model: Model
    precision: Precision

    def __str__(self) -> str:
        return "".join(f", {part}" for part in (self.model, self.precision) if part not in ("MiniLM", "fp32"))

    @property
    def note(self) -> str:
        """A remark on the goals in bf16."""
        return f"goal for AMX; this CPU has {bf16_instructions()}" if self.precision == "bf16" else ""


MINILM, MINILM_BF16, MPNET, MPNET_BF16 = (Variant(model, precision) for model in MODELS for precision in PRECISIONS)


def in_turn(name: str, variants: Iterable[Variant], measure: Callable[[Variant], list[Figure]]) -> list[Figure]:
    """The figures of each variant. If this CPU cannot run one, a skipped figure called `name` says so."""
    found: list[Figure] = []
    for variant in variants:
        if variant.precision == "bf16" and not bf16_instructions():
            found.append(skipped(f"{name}{variant}", "", NO_BF16))
        else:
            found += measure(variant)
    return found
