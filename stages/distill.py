"""Distil a student from a teacher's logits: one task, one teacher arm, one recipe, one seed.

With --like ARM the teacher is first brought, by a temperature, to the CMI of that other teacher arm: a control.
"""

from src.arms import distilled_arm
from src.core.experiment import carry_out, run_arguments
from src.core.teachers import matched_in_cmi, teacher_logits
from src.data.prepared import load_task
from src.errors import stage
from src.params import load_params
from src.runs import RunName


@stage
def main() -> None:
    arguments = run_arguments(__doc__, "teacher", "recipe", optional="like")
    params, task, seed = load_params(), load_task(arguments.task), arguments.seed
    run = RunName(task.name, "student", distilled_arm(arguments.recipe, arguments.teacher, arguments.like), seed)
    settings = params.distilled_student(task.name, arguments.recipe)

    # The teacher of a seed teaches the student of that seed. Its logits were computed once, after its training.
    logits = teacher_logits(task, arguments.teacher, seed, settings.objective.transfer)
    if arguments.like is not None:
        like = teacher_logits(task, arguments.like, seed, transfer=False)
        logits, match = matched_in_cmi(logits, like, task.train.labels)
        print(
            f"{arguments.teacher} at temperature {match.temperature:.4f}: train CMI {match.reached:.4f} nats, "
            f"that of {arguments.like} is {match.target:.4f}"
        )

    carry_out(run, task, settings, logits)


if __name__ == "__main__":
    main()
