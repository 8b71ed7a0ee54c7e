"""The loss of a run, term by term; docs/method.md maps each symbol to its params key and class.

    loss = (1 - alpha) ((1 - contrastive_weight) label_weight L(labels) + contrastive_weight SCL) + alpha KD(teacher)
           + cmi_weight CMI / cmi_unit - separation_weight Gamma - confidence_penalty H
           + r_drop_weight R + relation_weight K                                            (nats)
           + centre_weight D + norm_penalty |h|^2 + ncmi_weight N                           (no unit)

cmi_weight > 0 minimises CMI, cmi_weight < 0 maximises it. With `taus`, CMI is the mean over several temperatures. D is
half the squared distance of h to its label's mean, N the CMI of a row divided by its separation. SCL is the supervised
contrastive loss of h / |h|, R the KL between two passes of a row under dropout, K the KL from the teacher's
relations between tokens to the student's. Without a teacher alpha and relation_weight are 0. Rows without a label enter
only KD and K.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from src.core.method.batch import Batch, Processes, TrainSums, View
from src.core.method.centroids import Centroids
from src.core.method.spaces import Outputs, OutputSpace
from src.core.method.terms import TERMS, Run, passes_in, terms_in
from src.params import Objective


@dataclass(frozen=True)
class LossTerms:
    """A batch's loss, and its unweighted terms by name: scalars, in nats unless a term's class says otherwise."""

    total: Tensor
    terms: dict[str, Tensor]

    def values(self) -> Tensor:
        """The loss and its terms as one detached vector, in the order of `RunObjective.names`."""
        return torch.stack([term.detach().float() for term in (self.total, *self.terms.values())])


def plain_objective(objective: Objective) -> Objective:
    """The objective of plain fine-tuning: cross-entropy only. It keeps the space, in which CMI is measured."""
    weights = {term.key: 0.0 for term in TERMS if term.key}
    return objective.model_copy(update=weights | {"label_weight": 1.0, "label_smoothing": 0.0, "label_loss": "ce"})


class RunObjective:
    """The objective of one run, with the state of its terms and of its space.

    If a batch is passed in several `parts`, each part gives its share of every term, and the shares add up. Each part
    updates the centroids before it is compared with them. The momentum of `ema` is adapted, so that it forgets at the
    same rate as without parts.

    If `passes` is 2, a batch holds its rows twice: all rows of the first pass, then all rows of the second. Each term
    is then a mean over both passes.
    """

    def __init__(
        self, settings: Objective, num_classes: int, processes: Processes | None = None, parts: int = 1
    ) -> None:
        self.settings = settings
        self.num_classes = num_classes
        self.processes = processes or Processes()
        self.space = OutputSpace(settings, self.processes.add, parts)
        run = Run(settings, num_classes, self.space, parts)
        self.terms = {term.name: term(run) for term in terms_in(settings)}
        self.names = ("total", *self.terms)
        self.passes = passes_in(settings)
        self.of_all_rows = [True, *(term.of_all_rows for term in self.terms.values())]

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Let centroids that are taken from the train split look at it."""
        for term in self.terms.values():
            term.start_epoch(epoch, train_sums)

    def __call__(self, outputs: Outputs, batch: Batch) -> LossTerms:
        """The loss of one batch; `outputs` has this process's n rows."""
        view = View(outputs, batch, self.space, self.num_classes, self.processes)
        found = {name: term(view) for name, term in self.terms.items()}
        # A weight of 0 leaves the graph of its term out of the backward pass.
        weights = {name: term.weight(batch) for name, term in self.terms.items()}
        weighted = [weight * found[name] for name, weight in weights.items() if weight]
        # Without labels in the loss, the head gets gradients of 0 instead of none: processes wait for all gradients.
        nothing = torch.zeros_like(found["label"]) if self.settings.label_weight else 0 * found["label"]
        return LossTerms(sum(weighted, start=nothing), found)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """The states of the centroids and of the space."""
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: dict[str, dict[str, Tensor]], device: torch.device) -> None:
        """Restore a state that `state_dict` returned."""
        for name, part in self._stateful().items():
            part.load_state_dict(state[name], device)

    def _stateful(self) -> dict[str, Centroids]:
        of_terms = [term.stateful() for term in self.terms.values()]
        return {"mean": self.space.centre} | {name: part for parts in of_terms for name, part in parts.items()}
