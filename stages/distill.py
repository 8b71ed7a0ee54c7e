"""Distil a student from a teacher's logits: one task, one teacher arm, one recipe, one seed.

With --like the teacher is first brought, by a temperature, to the CMI of another teacher arm: a control.
"""

import argparse

from src.core.experiment import carry_out
from src.core.teachers import matched_in_cmi, teacher_logits
from src.data.prepared import load_task
from src.errors import stage
from src.params import load_params
from src.runs import RunName, distilled_arm


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("task", "teacher", "recipe"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--like", help="the teacher arm whose CMI is matched")
    arguments = parser.parse_args()
    params, task, seed = load_params(), load_task(arguments.task), arguments.seed
    objective, training = params.distilled_student(arguments.recipe)

    # The teacher of a seed teaches the student of that seed. Its logits were computed once, after its training.
    logits = teacher_logits(task, arguments.teacher, seed, objective.transfer)
    if arguments.like is not None:
        like = teacher_logits(task, arguments.like, seed, transfer=False)
        logits, temperature = matched_in_cmi(logits, like, task.train.labels)
        print(f"{arguments.teacher} has the train CMI of {arguments.like} at temperature {temperature:.4f}")

    run = RunName(task.name, "student", distilled_arm(arguments.recipe, arguments.teacher, arguments.like), seed)
    carry_out(run, task, params.models.student, objective, training, params.runtime, logits)


if __name__ == "__main__":
    main()
