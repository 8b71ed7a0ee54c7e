"""From the start of a stage's process to its first training step, with files in the operating system's cache.

Timed: the whole of `python -m stages.finetune` up to the moment at which the first step would begin: Python, imports,
settings, data, tokenisation, model, optimiser. The process ends there.
"""

import sys
import time

from benchmarks.figures import Figure, median_figure
from benchmarks.scratch import Setting, prepared, run

MOST = 4.0


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on vader-movie; a first, untimed start brings the files into the cache."""
    prepared(setting, "vader-movie")
    seconds_to_first_step(setting)
    rounds = [seconds_to_first_step(setting) for _ in range(setting.repeats)]
    return [median_figure("stage start to first step", rounds, "s", at_most=MOST)]


def seconds_to_first_step(setting: Setting) -> float:
    """One start; both processes read the same clock."""
    began = time.time()
    stage = ["stages.finetune", "--task", "vader-movie", "--arm", "ce", "--seed", "0"]
    output = run(setting.root, sys.executable, "-m", "benchmarks.first_step", *stage)
    return float(output.splitlines()[-1]) - began
