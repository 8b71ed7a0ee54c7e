"""The terms of the objective. One class has a term's weight, name and state; `TERMS` lists the classes.

To add a term, see CONTRIBUTING.md: a class here, its weight in `src.params.runs.ObjectiveDefaults`, and its tests.
"""

from src.core.method.terms.base import Run, Term
from src.core.method.terms.contrastive import Contrastive, RDrop
from src.core.method.terms.features import CentreLoss, NormPenalty
from src.core.method.terms.information import Cmi, Gamma
from src.core.method.terms.ncmi import Ncmi
from src.core.method.terms.outputs import Distillation, Entropy, LabelLoss
from src.core.method.terms.relation import Relation
from src.params import Objective

# The terms are added up in this order. Another order would round differently.
TERMS: tuple[type[Term], ...] = (
    LabelLoss,
    Distillation,
    Cmi,
    Gamma,
    Entropy,
    CentreLoss,
    NormPenalty,
    Ncmi,
    Contrastive,
    RDrop,
    Relation,
)

__all__ = ["TERMS", "Run", "Term", "passes_in", "terms_in"]


def terms_in(settings: Objective) -> list[type[Term]]:
    """The terms of an objective: the terms that every run measures, and the terms that it gives a weight."""
    return [term for term in TERMS if term.in_every_run or term.is_weighted(settings)]


def passes_in(settings: Objective) -> int:
    """The number of times that a step passes each row of a batch."""
    return max(term.passes for term in terms_in(settings))
