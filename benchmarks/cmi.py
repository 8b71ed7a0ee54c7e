"""The time that the CMI term and its rivals add to a training step.

One model takes a step with each objective on every batch, in an order that rotates. The figure is the median over
batches of the ratio of two steps, minus one. CMI is compared with a bare cross-entropy. Its rivals of one pass are
compared with `the ce arm`, the project's, which also measures CMI and Gamma for its history. Timed: whole steps, after
an untimed step on the same batch. Frozen centroids also take a pass over the train split before training. It is not
part of a step: its share of a whole run has its own line.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from benchmarks.figures import Figure
from benchmarks.ours import Enough, Phase, Ready, now, ready, real_step, train_with, use, warmed_up
from benchmarks.processes import contenders
from benchmarks.scratch import Setting, first_rows, prepared
from src.core.method.batch import Batch
from src.core.method.objectives import LossTerms, RunObjective
from src.core.method.spaces import Outputs
from src.data.prepared import PreparedTask
from src.params import RunSettings

BARE, OURS = "bare cross-entropy", "the ce arm"
MOST = {BARE: 2.0, OURS: 3.0}  # percent over each base
RIVALS: dict[str, dict[str, Any]] = {
    "supervised contrastive": {"contrastive_weight": 0.5},
    "centre loss": {"centre_weight": 0.01},
    "centre loss, unit": {"centre_weight": 1.0, "centre_map": "unit"},
    "length of h": {"norm_penalty": 0.01},
    "loss of NCMI": {"ncmi_weight": 1.0, "feature_map": "unit_sigmoid", "tau": 0.1},
    "CMI of four temperatures": {"cmi_weight": 1.0, "space": "class", "taus": [0.5, 1.0, 2.0, 4.0]},
}
SPACES, CENTROIDS = ("class", "feature"), ("batch", "ema", "frozen")


@dataclass(frozen=True)
class Costs:
    """The percent that each objective adds to a step of its base, and the seconds of frozen's pass and a bare step."""

    added: dict[str, list[float]]
    frozen_pass: float
    bare_step: float


class BareCrossEntropy(RunObjective):
    """The mean cross-entropy of a batch, without other terms."""

    def __call__(self, outputs: Outputs, batch: Batch) -> LossTerms:
        """The loss. The other terms are 0."""
        loss = F.cross_entropy(outputs.logits.float(), batch.labels)
        return LossTerms(loss, dict.fromkeys(self.names[1:], loss.new_zeros(())))


def figures(setting: Setting) -> list[Figure]:
    """Both spaces with the three kinds of centroids, and the rivals."""
    settings = setting.params.teacher("vader-movie", "cmi_min")
    task = first_rows(prepared(setting, "vader-movie"), setting.steps * settings.training.batch_size)
    with contenders({"costs": (added_costs, task, settings, setting.repeats)}) as measures:
        costs: Costs = measures["costs"]()
    found = [added_figure(name, added) for name, added in costs.added.items()]
    run_seconds = settings.training.epochs * setting.steps * costs.bare_step
    pass_share = 100 * costs.frozen_pass / run_seconds
    return [*found, Figure("frozen centroids: pass before training / training", pass_share, "%")]


def added_figure(name: str, added: list[float]) -> Figure:
    """The figure of one objective. Only objectives with another term than the loss on labels have a goal."""
    base = base_of(name)
    goal = None if name == OURS else MOST[base]
    low, _, high = statistics.quantiles(added, n=4) if len(added) > 1 else (added[0],) * 3
    note = f"quartiles of {len(added)} steps {low:.1f} to {high:.1f}"
    return Figure(f"step time over {base}: {name}", statistics.median(added), "%", at_most=goal, note=note)


def added_costs(task: PreparedTask, settings: RunSettings, repeats: int) -> Callable[[], Costs]:
    """A function that measures all objectives for `repeats` epochs."""
    run = warmed_up(ready(task, settings))
    return lambda: measured_costs(run, repeats)


def measured_costs(run: Ready, repeats: int) -> Costs:
    """Take a step with every objective on every batch of `repeats` epochs."""
    choices = objectives(run)
    seconds: dict[str, list[float]] = {name: [] for name in choices}
    passes: list[float] = []

    def step(phase: Phase, rows: Tensor) -> None:
        if not passes:
            passes.extend(start_frozen(phase, choices))
        real_step(phase, rows)  # allocates memory for this shape, and the first time the optimiser's state
        taken = len(seconds[BARE])
        names = list(choices)
        for name in names[taken % len(names) :] + names[: taken % len(names)]:
            use(phase, choices[name])
            began = now()
            real_step(phase, rows)
            seconds[name].append(now() - began)
        if (taken + 1) % phase.steps_per_epoch == 0:
            raise Enough

    for _ in range(repeats):
        train_with(step, run)
    added = {
        name: [100 * (one / base - 1) for one, base in zip(taken, seconds[base_of(name)], strict=True)]
        for name, taken in seconds.items()
        if name != BARE
    }
    return Costs(added, statistics.median(passes), statistics.median(seconds[BARE]))


def base_of(name: str) -> str:
    """The objective with which another one's steps are compared."""
    return OURS if name in RIVALS else BARE


def objectives(run: Ready) -> dict[str, RunObjective]:
    """Every objective by its name in the table."""
    settings, classes = run.settings.objective, run.loaded.data.num_classes
    plain = settings.model_copy(update={"cmi_weight": 0.0})
    found = {BARE: BareCrossEntropy(plain, classes), OURS: RunObjective(plain, classes)}
    for space in SPACES:
        for centroid in CENTROIDS:
            own = settings.model_copy(update={"space": space, "centroid": centroid})
            found[f"CMI, {space}, {centroid}"] = RunObjective(own, classes)
    rivals = {name: RunObjective(plain.model_copy(update=weights), classes) for name, weights in RIVALS.items()}
    return found | rivals


def start_frozen(phase: Phase, choices: dict[str, RunObjective]) -> list[float]:
    """Let frozen centroids take their pass over the train split, and return the seconds of each."""
    seconds = []
    for name, objective in choices.items():
        if name.endswith("frozen"):
            use(phase, objective)
            began = now()
            objective.start_epoch(0, phase._train_sums())
            seconds.append(now() - began)
    phase.optimisation.model.train()
    return seconds
