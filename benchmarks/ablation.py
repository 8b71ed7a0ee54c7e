"""What each of the things that make training fast is worth: our rate with all of them over our rate without that one.

One measurement is one epoch over `steps` x batch size train rows, timed as in `ours.timed_steps`. Every contender has a
process of its own, in which one function of the project is replaced before the run is loaded; they take turns.
"""

from collections.abc import Callable, Iterable
from unittest import mock

import torch
from torch import Tensor

from benchmarks.figures import Figure, median_figure
from benchmarks.finetuning import our_rate
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, first_rows, prepared
from src.core.models.encoding import EncodedSplit
from src.data.prepared import PreparedTask
from src.params import RunSettings

ALL = "all of them"


class WholeVocabulary:
    """Stands in for `CompactVocabulary`: every token keeps its embedding and its number."""

    def __init__(self, *_: object) -> None:
        pass

    def numbered(self, split: EncodedSplit) -> EncodedSplit:
        """The split as it is."""
        return split


def shuffled_batches(lengths: Tensor, batch_size: int, generator: torch.Generator) -> Iterable[Tensor]:
    """Stands in for `training_batches`: rows of any lengths together."""
    return torch.randperm(len(lengths), generator=generator).split(batch_size)


def nothing(*_: object) -> None:
    """Stands in for a function that only speeds things up."""


REPLACED = {
    "the last layer for the first token alone": ("src.core.training.loading.compute_first_token_only", nothing),
    "dropout's cheaper random numbers": ("src.core.training.loading.use_cpu_dropout", nothing),
    "embeddings in use only": ("src.core.training.loading.CompactVocabulary", WholeVocabulary),
    "memory kept, huge pages": ("src.core.training.environment.keep_and_enlarge_pages", nothing),
    "batches of similar length": ("src.core.training.phase.training_batches", shuffled_batches),
}


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on vader-movie."""
    settings = setting.params.teacher("vader-movie", "ce")
    task = first_rows(prepared(setting, "vader-movie"), setting.steps * settings.training.batch_size)
    with contenders({name: (rate_without, task, settings, name) for name in (ALL, *REPLACED)}) as measures:
        rates = in_turns(measures, setting.repeats)
    return [median_figure(f"speed gained by: {name}", ratios(rates[ALL], rates[name]), "x") for name in REPLACED]


def rate_without(task: PreparedTask, settings: RunSettings, name: str) -> Callable[[], float]:
    """What measures our rate without one of them; for the rest of the process it stays replaced."""
    if name != ALL:
        mock.patch(*REPLACED[name]).start()
    return our_rate(task, settings)
