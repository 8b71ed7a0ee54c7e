"""bf16 on a CPU without instructions for it: our rate with emulated products, over torch's bf16 and over fp32."""

from contextlib import nullcontext

from benchmarks.ablation import our_rate, rate_without
from benchmarks.figures import Figure, median_figure, skipped
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, teacher_of
from benchmarks.variants import MINILM, MINILM_BF16
from src.core.speed.instructions import emulates_bf16

NAME = "fine-tuning vader-movie, bf16 without instructions"
BY_TORCH = ("src.core.speed.half_precision.emulated_products", nullcontext)


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on vader-movie."""
    if not emulates_bf16():
        return [skipped(NAME, "rows/s", "this CPU does not emulate bf16")]
    task, settings = teacher_of(setting, MINILM_BF16)
    starts = {
        "emulated": (our_rate, task, settings),
        "torch": (rate_without, task, settings, BY_TORCH),
        "fp32": (our_rate, *teacher_of(setting, MINILM)),
    }
    with contenders(starts) as measures:
        rates = in_turns(measures, setting.repeats)
    found = [median_figure(f"{NAME}: {way}", of_way, "rows/s") for way, of_way in rates.items()]
    for other in ("torch", "fp32"):
        found.append(median_figure(f"{NAME}: emulated / {other}", ratios(rates["emulated"], rates[other]), "x"))
    return found
