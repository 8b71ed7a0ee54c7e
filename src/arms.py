"""The arms of a study: how students are called, and which arms are compared."""

from itertools import chain
from typing import Literal

from src.errors import UserError
from src.params import Params

Role = Literal["teacher", "student"]


def distilled_arm(recipe: str, teacher: str, like: str | None = None) -> str:
    """The arm of the student that learns from a teacher arm by a recipe, the teacher matched to `like` or as it is."""
    return f"{recipe}-{teacher}" if like is None else f"{recipe}-{teacher}_as_{like}"


def distilled_arms(params: Params) -> dict[str, list[str]]:
    """The distilled student arms of each recipe: one per teacher arm in their order, then the matched ones."""
    return {
        recipe: [distilled_arm(recipe, teacher) for teacher in params.finetune.arms]
        + [distilled_arm(recipe, pair.teacher, pair.like) for pair in params.distill.matched]
        for recipe in params.distill.recipes
    }


def arms_of(params: Params) -> dict[Role, list[str]]:
    """Every arm that params.yaml asks for, by role, in the order of the stages.

    Raises:
        UserError: two student arms have one name.
    """
    students = [*params.student.arms, *chain.from_iterable(distilled_arms(params).values())]
    if twice := [arm for arm in students if students.count(arm) > 1]:
        problem = f"two of the student arms are called {twice[0]}"
        raise UserError("params.yaml: finetune.arms, distill.matched", problem, "names without _as_ in them")
    return {"teacher": list(params.finetune.arms), "student": students}


def pairs_to_compare(params: Params) -> list[tuple[str, str, str]]:
    """Which arms are compared: (role, arm, arm that it is compared with).

    Teachers with the baseline teacher; plain students with the first of them; distilled students with the plain ones
    and with the baseline's student; students of a teacher with those of another matched to its CMI; and
    `evaluate.pairs`.
    """
    all_arms = arms_of(params)
    baseline, plain = params.evaluate.baseline, list(params.student.arms)
    pairs = [("teacher", arm, baseline) for arm in params.finetune.arms if arm != baseline]
    pairs += [("student", arm, plain[0]) for arm in plain[1:]]
    for recipe, arms in distilled_arms(params).items():
        of_baseline = distilled_arm(recipe, baseline)
        pairs += [("student", arm, control) for arm in arms for control in plain]
        pairs += [("student", arm, of_baseline) for arm in arms if arm != of_baseline]
        for match in params.distill.matched:
            control = distilled_arm(recipe, match.teacher, match.like)
            pairs.append(("student", distilled_arm(recipe, match.like), control))
    for pair in params.evaluate.pairs:
        known = all_arms[pair.role]
        for arm in (pair.arm, pair.against):
            if arm not in known:
                problem = f"unknown {pair.role} arm '{arm}'"
                raise UserError("params.yaml: evaluate.pairs", problem, f"allowed: {', '.join(known)}")
        pairs.append((pair.role, pair.arm, pair.against))
    return list(dict.fromkeys(pairs))
