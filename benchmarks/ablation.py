"""The gain of each technique that makes training fast: our rate with all of them over our rate without that one.

One measurement is one epoch over `steps` x batch size train rows, timed as in `ours.timed_steps`. Each rate has its own
process, and the two take turns. The second process replaces one function of the project before it loads the run.
`REPLACED` has the functions by precision.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.figures import Figure, median_figure
from benchmarks.ours import epoch_rate, ready, warmed_up
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, teacher_of
from benchmarks.variants import MINILM, MINILM_BF16, Variant, in_turn
from src.core.models.encoding import EncodedSplit
from src.data.prepared import PreparedTask
from src.params import Precision, RunSettings

OWN = (MINILM, MINILM_BF16)
ALL = "all of them"


class WholeVocabulary:
    """Replaces `CompactVocabulary`: every token keeps its embedding and its number."""

    def __init__(self, *_: object) -> None:
        pass

    def numbered(self, split: EncodedSplit) -> EncodedSplit:
        """The split itself."""
        return split


def shuffled_batches(lengths: Tensor, batch_size: int, generator: torch.Generator) -> Iterable[Tensor]:
    """Replaces `training_batches`: a batch has rows of any lengths."""
    return torch.randperm(len(lengths), generator=generator).split(batch_size)


def nothing(*_: object) -> None:
    """Replaces a function that only saves time."""


Replacement = tuple[str, Any]  # the name of a function or class, and its replacement
EVERYWHERE: dict[str, Replacement] = {
    "the last layer for the first token alone": ("src.core.training.loading.compute_first_token_only", nothing),
    "dropout's cheaper random numbers": ("src.core.training.loading.use_cpu_dropout", nothing),
    "dropout's masks without booleans": ("src.core.speed.dropout.at_least", torch.ge),
    "embeddings in use only": ("src.core.training.loading.CompactVocabulary", WholeVocabulary),
    "memory kept, huge pages": ("src.core.machine.environment.keep_and_enlarge_pages", nothing),
    "batches of similar length": ("src.core.training.loop.training_batches", shuffled_batches),
}
IN_BF16: dict[str, Replacement] = {
    "softmax in float32": ("src.core.speed.dropout.softmax", partial(torch.softmax, dim=-1)),
}
REPLACED: dict[Precision, dict[str, Replacement]] = {"fp32": EVERYWHERE, "bf16": EVERYWHERE | IN_BF16}


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on vader-movie, in each variant."""
    return in_turn("speed gained", setting.variants(OWN), partial(gains, setting))


def gains(setting: Setting, variant: Variant) -> list[Figure]:
    """The gain of each technique in one variant."""
    task, settings = teacher_of(setting, variant)
    found = []
    for name, replacement in REPLACED[variant.precision].items():
        starts = {ALL: (our_rate, task, settings), name: (rate_without, task, settings, replacement)}
        with contenders(starts) as measures:
            rates = in_turns(measures, setting.repeats)
        found.append(median_figure(f"speed gained{variant} by: {name}", ratios(rates[ALL], rates[name]), "x"))
    return found


def rate_without(task: PreparedTask, settings: RunSettings, replacement: Replacement) -> Callable[[], float]:
    """A function that measures our rate without one technique, which stays replaced until the process ends."""
    mock.patch(*replacement).start()
    return our_rate(task, settings)


def our_rate(task: PreparedTask, settings: RunSettings) -> Callable[[], float]:
    """A function that measures our rate: rows per second of one epoch over the task's train rows."""
    return partial(epoch_rate, warmed_up(ready(task, settings)))
