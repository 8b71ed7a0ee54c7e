"""Fine-tuning, rows per second: ours against Trainer with its defaults and with its best options.

One measurement is one epoch over the same `steps` x batch size train rows. What is timed is said in
`ours.timed_steps` and in `peers`. The three take turns, each in a process of its own.
"""

from collections.abc import Callable
from functools import partial

from benchmarks.figures import Figure, median_figure, skipped
from benchmarks.ours import epoch_rate, ready, warmed_up
from benchmarks.peers import trainer_rate
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, first_rows, prepared
from src.data.prepared import PreparedTask
from src.params import RunSettings

OVER_DEFAULTS, OVER_BEST = 2.0, 1.25


def figures(setting: Setting) -> list[Figure]:
    """Both tasks; rte where there is a local copy of it."""
    found = compared(setting, "vader-movie")
    if not setting.has_glue("rte"):
        return [*found, skipped("fine-tuning glue-rte: ours / Trainer", "x", "no --glue-folder with rte")]
    return found + compared(setting, "glue-rte")


def compared(setting: Setting, name: str) -> list[Figure]:
    """Rows per second of all three on one task, and the two ratios."""
    settings = setting.params.teacher(name, "ce")
    task = first_rows(prepared(setting, name), setting.steps * settings.training.batch_size)
    return side_by_side(f"fine-tuning {name}", task, settings, setting.repeats)


def side_by_side(title: str, task: PreparedTask, settings: RunSettings, repeats: int) -> list[Figure]:
    """The figures of one task in fp32."""
    starts = {
        "ours": (our_rate, task, settings),
        "Trainer, defaults": (trainer_rate, task, settings, False),
        "Trainer, best": (trainer_rate, task, settings, True),
    }
    with contenders(starts) as measures:
        rates = in_turns(measures, repeats)
    over_defaults = ratios(rates["ours"], rates["Trainer, defaults"])
    over_best = ratios(rates["ours"], rates["Trainer, best"])
    return [
        *(median_figure(f"{title}: {name}", found, "rows/s") for name, found in rates.items()),
        median_figure(f"{title}: ours / Trainer, defaults", over_defaults, "x", at_least=OVER_DEFAULTS),
        median_figure(f"{title}: ours / Trainer, best", over_best, "x", at_least=OVER_BEST),
    ]


def our_rate(task: PreparedTask, settings: RunSettings) -> Callable[[], float]:
    """What measures ours: rows per second of one epoch over the task's train rows."""
    return partial(epoch_rate, warmed_up(ready(task, settings)))
