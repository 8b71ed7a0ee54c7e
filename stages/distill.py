"""Distil a student from a teacher's logits: one task, one teacher arm, one recipe, one seed.

With --like ARM the teacher is first brought, by a temperature, to the CMI of that other teacher arm: a control.
"""

from src.arms import distilled_arm
from src.command_line import run_arguments
from src.core.training.run import run_training
from src.core.training.teachers import matched_in_cmi, teacher_logits
from src.data.prepared import load_task
from src.errors import stage
from src.params import Params, load_params
from src.runs import RunName


def distil(params: Params, task_name: str, recipe: str, teacher: str, like: str | None, seed: int) -> None:
    """Train and save the run."""
    task, settings = load_task(task_name), params.distilled_student(task_name, recipe)
    run = RunName(task.name, "student", distilled_arm(recipe, teacher, like), seed)

    # The teacher of a seed teaches the student of that seed. Its logits were computed once, after its training.
    logits = teacher_logits(task, teacher, seed, settings.objective.transfer)
    if like is not None:
        logits, match = matched_in_cmi(logits, teacher_logits(task, like, seed, transfer=False), task.train.labels)
        print(
            f"{teacher} at temperature {match.temperature:.4f}: train CMI {match.reached:.4f} nats, "
            f"that of {like} is {match.target:.4f}"
        )

    run_training(run, task, settings, logits)


@stage
def main() -> None:
    arguments = run_arguments(__doc__, "teacher", "recipe", optional="like")
    chosen = arguments.task, arguments.recipe, arguments.teacher, arguments.like
    distil(load_params(), *chosen, arguments.seed)


if __name__ == "__main__":
    main()
