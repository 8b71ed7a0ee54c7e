"""The arms of a study, and how students are called."""

from itertools import chain

from src.errors import UserError
from src.params import Params, Role


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
