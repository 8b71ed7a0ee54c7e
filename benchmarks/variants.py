"""What a row is measured with: a model and a precision. Rows in bf16 need a CPU that multiplies it in hardware."""

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
STUDIES: dict[Model, str | None] = {"MiniLM": None, "MPNet": "mpnet"}  # whose models: params.yaml's, or a study's
FEWER_STEPS: dict[Model, int] = {"MiniLM": 1, "MPNet": 5}  # a step of MPNet takes that many times as long


@dataclass(frozen=True)
class Variant:
    """A model in a precision. As text it is what follows a figure's name: nothing for MiniLM in fp32."""

    model: Model
    precision: Precision

    def __str__(self) -> str:
        return "".join(f", {part}" for part in (self.model, self.precision) if part not in ("MiniLM", "fp32"))

    @property
    def note(self) -> str:
        """What to know of a goal in bf16."""
        return f"goal for AMX; this CPU has {bf16_instructions()}" if self.precision == "bf16" else ""


MINILM, MINILM_BF16, MPNET, MPNET_BF16 = (Variant(model, precision) for model in MODELS for precision in PRECISIONS)


def in_turn(name: str, variants: Iterable[Variant], measure: Callable[[Variant], list[Figure]]) -> list[Figure]:
    """The figures of each variant; where this CPU cannot do one, a figure called `name` that says so."""
    found: list[Figure] = []
    for variant in variants:
        if variant.precision == "bf16" and not bf16_instructions():
            found.append(skipped(f"{name}{variant}", "", NO_BF16))
        else:
            found += measure(variant)
    return found
