"""The arms of a study, the names of students, and the settings of an arm's runs."""

from itertools import chain

from src.params import Changed, Params, Role, RunSettings


def distilled_arm(recipe: str, teacher: str) -> str:
    """The arm of a student that learns by a recipe from one of `teachers_of`."""
    return f"{recipe}-{teacher}"


def teachers_of(params: Params) -> dict[str, Changed | None]:
    """The teachers of distilled students, by name: all teacher arms, then the teachers changed after training."""
    return dict.fromkeys(params.finetune.arms) | {one.name: one for one in params.distill.changed()}


def distilled_arms(params: Params) -> dict[str, list[str]]:
    """The distilled student arms of each recipe, one per teacher."""
    return {
        recipe: [distilled_arm(recipe, teacher) for teacher in teachers_of(params)] for recipe in params.distill.recipes
    }


def arms_of(params: Params) -> dict[Role, list[str]]:
    """Every arm of params.yaml, by role, in the order of the stages."""
    students = [*params.student.arms, *chain.from_iterable(distilled_arms(params).values())]
    return {"teacher": list(params.finetune.arms), "student": students}


def settings_of(params: Params, task: str, role: Role, arm: str) -> RunSettings:
    """The settings of an arm's runs on a task. A distilled student has the settings of its recipe."""
    if role == "teacher":
        return params.teacher(task, arm)
    if arm in params.student.arms:
        return params.plain_student(task, arm)
    return params.distilled_student(task, arm.partition("-")[0])  # no recipe has a dash in its name
