"""Distil a student from a teacher's logits: one task, one teacher arm, one recipe, one seed."""

from src.core.experiment import carry_out, run_arguments
from src.data.prepared import load_task
from src.errors import stage
from src.params import load_params
from src.runs import RunName, distilled_arm, load_logits, split_logits


@stage
def main() -> None:
    arguments = run_arguments(__doc__, "teacher", "recipe")
    params = load_params()
    task = load_task(arguments.task)
    run = RunName(task.name, "student", distilled_arm(arguments.recipe, arguments.teacher), arguments.seed)
    objective, training = params.distilled_student(arguments.recipe)

    # The teacher of a seed teaches the student of that seed. Its logits were computed once, after its training.
    teacher = RunName(task.name, "teacher", arguments.teacher, arguments.seed).folder()
    teacher_logits = split_logits(load_logits(teacher), "train", task.train.row_ids, teacher)

    carry_out(run, task, params.models.student, objective, training, params.runtime, teacher_logits)


if __name__ == "__main__":
    main()
