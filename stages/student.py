"""Fine-tune a student without a teacher, as the control of distillation: one task, one arm, one seed."""

from src.core.training.run import run_training
from src.data.prepared import load_task
from src.params import Params, load_params
from src.runs import RunName
from src.system.command_line import run_arguments
from src.system.errors import stage


def train_student(params: Params, task: str, arm: str, seed: int) -> None:
    """Train and save the run."""
    run = RunName(task, "student", arm, seed)

    task_data = load_task(run.task, seed=run.seed)
    run_training(run, task_data, params.plain_student(run.task, run.arm), study=params.study)


@stage
def main() -> None:
    arguments = run_arguments(__doc__, "arm")
    train_student(load_params(), arguments.task, arguments.arm, arguments.seed)


if __name__ == "__main__":
    main()
