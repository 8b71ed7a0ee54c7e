"""Fine-tune a teacher: one task, one arm, one seed."""

from src.core.experiment import carry_out, run_arguments
from src.data.prepared import load_task
from src.errors import stage
from src.params import load_params
from src.runs import RunName


@stage
def main() -> None:
    arguments = run_arguments(__doc__, "arm")
    params = load_params()
    run = RunName(arguments.task, "teacher", arguments.arm, arguments.seed)

    carry_out(run, load_task(run.task), params.teacher(run.task, run.arm))


if __name__ == "__main__":
    main()
