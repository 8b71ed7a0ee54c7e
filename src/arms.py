"""The arms of a study, and how students are called."""

from itertools import chain

from src.params import Changed, Params, Role


def distilled_arm(recipe: str, teacher: str) -> str:
    """The arm of the student that learns by a recipe from one of `teachers_of`."""
    return f"{recipe}-{teacher}"


def teachers_of(params: Params) -> dict[str, Changed | None]:
    """Who teaches distilled students, by name: every teacher arm as it is, and then those changed after training."""
    return dict.fromkeys(params.finetune.arms) | {one.name: one for one in params.distill.changed()}


def distilled_arms(params: Params) -> dict[str, list[str]]:
    """The distilled student arms of each recipe: one per teacher."""
    return {
        recipe: [distilled_arm(recipe, teacher) for teacher in teachers_of(params)] for recipe in params.distill.recipes
    }


def arms_of(params: Params) -> dict[Role, list[str]]:
    """Every arm that params.yaml asks for, by role, in the order of the stages."""
    students = [*params.student.arms, *chain.from_iterable(distilled_arms(params).values())]
    return {"teacher": list(params.finetune.arms), "student": students}
