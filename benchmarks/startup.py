"""The time from the start of a stage's process to its first training step, with files in the system's cache.

Timed: `python -m stages.finetune` up to its first step: Python, imports, settings, data, tokenisation, model and
optimiser. The process ends there.
"""

import sys
import time

from benchmarks.figures import Figure, median_figure
from benchmarks.scratch import Setting, prepared, run

MOST = 4.0


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on vader-movie. A first, untimed start brings the files into the cache."""
    prepared(setting, "vader-movie")
    seconds_to_first_step(setting)
    rounds = [seconds_to_first_step(setting) for _ in range(setting.repeats)]
    return [median_figure("stage start to first step", rounds, "s", at_most=MOST)]


def seconds_to_first_step(setting: Setting) -> float:
    """The seconds of one start. Both processes read the same clock."""
    began = time.time()
    stage = ["stages.finetune", "--task", "vader-movie", "--arm", "ce", "--seed", "0"]
    output = run(setting.root, sys.executable, "-m", "benchmarks.first_step", *stage)
    return float(output.splitlines()[-1]) - began
