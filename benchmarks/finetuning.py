"""Rows per second of fine-tuning: ours, Trainer with its defaults, and Trainer with its best options.

One measurement is one epoch over the same `steps` x batch size train rows. `ours.timed_steps` and `peers` say which
work is timed. Ours also predicts these rows. In bf16, ours in fp32 takes part too, so that one run gives both ratios.
All take turns, each in its own process.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from benchmarks.figures import Figure, median_figure, skipped
from benchmarks.ours import epoch_rate, predicting_rate, ready, warmed_up
from benchmarks.peers import trainer_rate
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, teacher_of
from benchmarks.variants import MINILM, MINILM_BF16, MPNET_BF16, Model, Variant, in_turn
from src.data.prepared import PreparedTask
from src.params import Precision, RunSettings

OWN = (MINILM, MINILM_BF16, MPNET_BF16)
OVER_DEFAULTS: dict[Precision, float] = {"fp32": 2.0, "bf16": 4.0}
OVER_BEST: dict[Precision, float] = {"fp32": 1.25, "bf16": 1.5}


class Rates(NamedTuple):
    """Rows per second."""

    training: float
    predicting: float


OVER_FP32: dict[Model, Rates] = {"MiniLM": Rates(2.0, 2.5), "MPNet": Rates(3.0, 3.5)}


def figures(setting: Setting) -> list[Figure]:
    """Figures of vader-movie in each variant, and of rte in fp32 if there is a local copy."""
    found = in_turn("fine-tuning vader-movie", setting.variants(OWN), partial(compared, setting, "vader-movie"))
    if not setting.has_glue("rte"):
        return [*found, skipped("fine-tuning glue-rte: ours / Trainer", "x", "no --glue-folder with rte")]
    return found + compared(setting, "glue-rte", MINILM)


def compared(setting: Setting, name: str, variant: Variant) -> list[Figure]:
    """Rows per second of all contenders on one task, and their ratios."""
    task, settings = teacher_of(setting, variant, name)
    starts = {
        "ours": (our_rates, task, settings),
        "Trainer, defaults": (trainer_rate, task, settings, False),
        "Trainer, best": (trainer_rate, task, settings, True),
    }
    if variant.precision != "fp32":
        exact = replace(settings, runtime=settings.runtime.model_copy(update={"precision": "fp32"}))
        starts["ours, fp32"] = our_rates, task, exact
    with contenders(starts) as measures:
        found = in_turns(measures, setting.repeats)
    ours, exact, title = found.pop("ours"), found.pop("ours, fp32", []), f"{name}{variant}"
    goals = OVER_DEFAULTS[variant.precision], OVER_BEST[variant.precision]
    return [
        *(median_figure(f"{work} {title}: ours", rates, "rows/s") for work, rates in by_work(ours)),
        *(median_figure(f"fine-tuning {title}: {trainer}", rates, "rows/s") for trainer, rates in found.items()),
        *(
            median_figure(
                f"fine-tuning {title}: ours / {trainer}",
                ratios([one.training for one in ours], rates),
                "x",
                at_least=goal,
                note=variant.note,
            )
            for (trainer, rates), goal in zip(found.items(), goals, strict=True)
        ),
        *(over_fp32(title, variant, ours, exact) if exact else []),
    ]


def over_fp32(title: str, variant: Variant, ours: list[Rates], exact: list[Rates]) -> list[Figure]:
    """Our rates in fp32, and the ratios of bf16 to fp32."""
    found = []
    for (work, own), (_, other), goal in zip(by_work(ours), by_work(exact), OVER_FP32[variant.model], strict=True):
        found += [
            median_figure(f"{work} {title}: ours, fp32", other, "rows/s"),
            median_figure(
                f"{work} {title}: ours / ours, fp32", ratios(own, other), "x", at_least=goal, note=variant.note
            ),
        ]
    return found


def by_work(rounds: list[Rates]) -> list[tuple[str, list[float]]]:
    """Each kind of work and its rate in each round."""
    return list(zip(("fine-tuning", "predicting"), map(list, zip(*rounds, strict=True)), strict=True))


def our_rates(task: PreparedTask, settings: RunSettings) -> Callable[[], Rates]:
    """A function that measures our rates: one epoch over the train rows, and their prediction."""
    run = warmed_up(ready(task, settings))
    predicting_rate(run)  # warms up its kernels
    return lambda: Rates(epoch_rate(run), predicting_rate(run))
