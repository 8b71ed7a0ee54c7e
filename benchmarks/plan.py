"""Time, memory and disk of the paper's full study (studies/glue.yaml) on some GPUs, from two measured rates.

    python -m benchmarks.plan [--teacher-rate ROWS_PER_SECOND] [--student-rate ROWS_PER_SECOND]

The rates are training rows a second of one GPU (`rows_per_second` in `timing/`, of a run of each kind). By default the
teacher's is what `make gpu` measured, and the student's so many times as much as its products are fewer. A prediction
is taken to cost a third of a training step. Runs are dealt out to the GPUs, the longest first, students after all
teachers; so DVC's queue would, with an experiment for each part of the study.
"""

import argparse
import heapq

from benchmarks.gpu.parts import RESULTS
from src.arms import arms_of
from src.errors import stage
from src.files import read_json
from src.params import Params, Role, RunSettings
from src.study.overrides import study_params

# Rows of the GLUE tasks: train, and the labelled validation split that serves as test (MNLI: matched).
ROWS = {
    "glue-cola": (8551, 1043),
    "glue-sst2": (67349, 872),
    "glue-mrpc": (3668, 408),
    "glue-qqp": (363846, 40430),
    "glue-mnli": (392702, 9815),
    "glue-qnli": (104743, 5463),
    "glue-rte": (2490, 277),
    "glue-wnli": (635, 71),
}
MILLIONS = {"teacher": 110, "student": 67}  # parameters of BERT-base and DistilBERT
STATE = 16  # bytes a parameter: weight, gradient and two moments in float32
CHECKPOINT = 16  # the same without the gradient, and the best weights
LOGITS_ROW = 20  # bytes a row of logits in Parquet: measured at 12 to 20 with two classes
FEWER_PRODUCTS = 2.2  # DistilBERT's, half of the layers and the last one for the first token alone
PREDICTION = 1 / 3  # of a training step's cost
GPUS = (1, 4, 8)


@stage
def main() -> None:
    """Print the page's table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    for role in ("teacher", "student"):
        parser.add_argument(f"--{role}-rate", type=float, help="training rows a second of one GPU")
    arguments = parser.parse_args()
    teacher_rate = arguments.teacher_rate or measured_rate()
    student_rate = arguments.student_rate or FEWER_PRODUCTS * teacher_rate
    rates: dict[Role, float] = {"teacher": teacher_rate, "student": student_rate}
    params = study_params("glue")
    print(f"{rates['teacher']:.0f} and {rates['student']:.0f} rows a second of a teacher and of a student")

    seconds = {role: run_seconds(params, role, rates[role]) for role in rates}
    for gpus in GPUS:
        hours = sum(makespan(runs, gpus) for runs in seconds.values()) / 3600
        print(f"{gpus} GPU{'s' if gpus > 1 else ' '}: {hours:6.1f} hours for {sum(map(len, seconds.values()))} runs")
    for role, millions in MILLIONS.items():
        print(
            f"a {role}: {millions * STATE / 1000:.1f} GB and activations; {checkpoint_gb(role):.1f} GB of checkpoints"
        )
    print(f"predictions of all runs: {predictions_gb(params):.1f} GB")


def measured_rate() -> float:
    """Training rows a second of BERT-base with CUDA graphs, on the GPU of `benchmarks/gpu/results.json`."""
    return read_json(RESULTS)["speed"]["batch 32, graphs, rows/s"]


def run_seconds(params: Params, role: Role, rate: float) -> list[float]:
    """How long each run of a role takes, over all tasks, arms and seeds."""
    return [
        cost(params, task, settings, role) / rate
        for task in params.tasks
        for settings in settings_of(params, task, role)
        for _ in params.seeds_of(task)
    ]


def settings_of(params: Params, task: str, role: Role) -> list[RunSettings]:
    """The settings of each arm of a role on a task; a student costs the same whatever it learns from."""
    arms = arms_of(params)[role]
    return [
        params.teacher(task, arm) if role == "teacher" else params.plain_student(task, next(iter(params.student.arms)))
        for arm in arms
    ]


def cost(params: Params, task: str, settings: RunSettings, role: Role) -> float:
    """A run's work in training rows: its epochs, what is measured after each, and its predictions."""
    train, selection, test = split_rows(params, task)
    epochs = settings.training.epochs
    measured = epochs * (selection + params.runtime.diagnostic_rows)
    predicted = selection + test + (train if role == "teacher" else 0)
    return epochs * train + PREDICTION * (measured + predicted)


def split_rows(params: Params, task: str) -> tuple[int, int, int]:
    """The rows of train, selection and test, but for a few where whole groups do not fit."""
    train, test = ROWS[task]
    selection = round(train * params.splits.selection)
    most = params.task(task).max_rows.selection
    selection = selection if most is None else min(selection, most)
    return train - selection, selection, test


def makespan(seconds: list[float], gpus: int) -> float:
    """When the last GPU is done, if each in turn takes the longest run that is left."""
    free_at = [0.0] * gpus
    for run in sorted(seconds, reverse=True):
        heapq.heapreplace(free_at, free_at[0] + run)
    return max(free_at)


def checkpoint_gb(role: str) -> float:
    """Two checkpoints, as many as are kept."""
    return 2 * MILLIONS[role] * CHECKPOINT / 1000


def predictions_gb(params: Params) -> float:
    """Logits of all runs; every other result is small."""
    total = 0
    for task in params.tasks:
        train, selection, test = split_rows(params, task)
        for role, arms in arms_of(params).items():
            rows = selection + test + (train if role == "teacher" else 0)
            total += rows * len(arms) * len(params.seeds_of(task))
    return total * LOGITS_ROW / 1e9


if __name__ == "__main__":
    main()
