"""Distil a student from a teacher's logits: one task, one teacher, one recipe, one seed.

The teacher is a teacher arm, or one that `distill` in params.yaml changes after its training: ce_as_cmi_max (matched),
ce_calibrated, or a name from `distill.mapped`.
"""

from functools import partial

from src.arms import distilled_arm, teachers_of
from src.core.distillation.changed_teachers import changed_logits
from src.core.distillation.teacher_logits import teacher_logits
from src.core.training.run import run_training
from src.data.prepared import load_task
from src.kept_models import load_kept
from src.params import Params, entry, load_params
from src.runs import RunName
from src.system.command_line import run_arguments
from src.system.errors import stage


def distil(params: Params, task_name: str, recipe: str, teacher: str, seed: int) -> None:
    """Train and save the run."""
    task, settings = load_task(task_name, seed=seed), params.distilled_student(task_name, recipe)
    change = entry(teachers_of(params), "finetune.arms, or distill for one changed after training", teacher)
    run = RunName(task.name, "student", distilled_arm(recipe, teacher), seed)

    # A student learns from the teacher of its own seed, whose logits were computed once after the teacher's training.
    if change is None:
        logits = teacher_logits(task, teacher, seed, settings.objective.transfer)
    else:
        share = settings.training.train_share
        logits, told = changed_logits(change, task, seed, settings.objective.transfer, share)
        print(told)

    # A term that compares layers also loads the model itself.
    of_teacher = RunName(task.name, "teacher", change.teacher if change else teacher, seed)
    load_teacher = partial(load_kept, of_teacher, task.label_names)

    run_training(run, task, settings, logits, params.study, load_teacher)


@stage
def main() -> None:
    arguments = run_arguments(__doc__, "teacher", "recipe")
    distil(load_params(), arguments.task, arguments.recipe, arguments.teacher, arguments.seed)


if __name__ == "__main__":
    main()
