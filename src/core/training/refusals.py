"""Settings that params.yaml allows but that this task, this launch or this machine cannot use."""

from src.core.machine.device import check_device, precision_of, uses_cuda_graphs
from src.core.method.losses import KD_LOSSES
from src.core.method.terms import terms_in
from src.data.prepared import PreparedTask
from src.params import RunSettings
from src.runs import RunName
from src.system.errors import UserError


def check_fit(run: RunName, task: PreparedTask, settings: RunSettings, processes: int) -> None:
    """Refuse, before anything is loaded, what would fail or would not be what it seems.

    Raises:
        UserError: the distance to the teacher, a term, the rows of a batch or how the run computes does not fit.
    """
    parts = processes * settings.training.accumulate
    _check_distance(run, settings, len(task.label_names), parts)
    _check_terms(run, settings, parts)
    _check_rows(run, settings, len(task.train), parts)
    _check_runtime(run, settings, processes)
    check_device(run, settings, processes)


def _check_distance(run: RunName, settings: RunSettings, classes: int, parts: int) -> None:
    """Some distances to a teacher need three classes, or a batch in one part."""
    name = settings.objective.kd_loss
    fitting = [name for name, distance in KD_LOSSES.items() if distance.fits(classes, parts)]
    if run.role == "student" and settings.objective.alpha > 0 and name not in fitting:
        raise UserError(run, f"kd_loss {name} {KD_LOSSES[name].limit}", f"allowed here: {', '.join(fitting)}")


def _check_terms(run: RunName, settings: RunSettings, parts: int) -> None:
    """Some terms need a batch in one part."""
    for term in terms_in(settings.objective):
        if parts > 1 and term.limit_in_parts:
            raise UserError(
                run, f"{term.key} {term.limit_in_parts}", f"start one process with accumulate 1, or set {term.key} to 0"
            )


def _check_rows(run: RunName, settings: RunSettings, train_rows: int, parts: int) -> None:
    """Each process has two rows or more of each part of a batch."""
    training = settings.training
    counts = {"batch_size": training.batch_size}
    if training.train_share < 1:
        counts["train_share"] = round(training.train_share * train_rows)
    for key, count in counts.items():
        if count < 2 * parts:
            one = "processes" if training.accumulate == 1 else "parts of a batch"
            problem = f"{key} {getattr(training, key)} leaves some of {parts} {one} without rows"
            raise UserError(run, problem, f"at least {2 * parts} rows")


def _check_runtime(run: RunName, settings: RunSettings, processes: int) -> None:
    """Frozen weights in bf16 enter products with others only under autocast; graphs have limits of their own."""
    runtime, precision = settings.runtime, precision_of(settings.runtime)
    if settings.model.dtype == "bf16" and precision != "bf16":
        problem = f"models.{run.role}.dtype is bf16, and runtime.precision is {precision} here"
        raise UserError(run, problem, "precision bf16, or dtype fp32")
    if uses_cuda_graphs(runtime) and runtime.recompute:
        raise UserError(run, "runtime.cuda_graphs and runtime.recompute are on", "one of the two")
    if processes > 1 and uses_cuda_graphs(runtime):
        problem = f"runtime.cuda_graphs is true, but there are {processes} processes"
        raise UserError(run, problem, "set it to false, or start one process")
