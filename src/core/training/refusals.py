"""Settings that params.yaml allows but that this task, this launch or this machine cannot use."""

from src.core.machine.device import check_device, precision_of, uses_cuda_graphs
from src.core.method.losses import KD_LOSSES
from src.core.method.terms import terms_in
from src.data.prepared import PreparedTask
from src.params import RunSettings
from src.runs import RunName
from src.system.errors import UserError


def check_fit(run: RunName, task: PreparedTask, settings: RunSettings, processes: int) -> None:
    """Refuse, before anything is loaded, settings that would fail or would not do what they say.

    Raises:
        UserError: the distance to the teacher, a term, the rows of a batch or a setting of `runtime` does not fit.
    """
    parts = processes * settings.training.accumulate
    _check_distance(run, settings, len(task.label_names), parts)
    _check_terms(run, settings, parts)
    _check_rows(run, settings, len(task.train), parts)
    _check_runtime(run, settings, processes)
    check_device(run, settings, processes)


def _check_distance(run: RunName, settings: RunSettings, classes: int, parts: int) -> None:
    """Check the distance to the teacher: some distances need three classes, or a batch in one part."""
    name = settings.objective.kd_loss
    fitting = [name for name, distance in KD_LOSSES.items() if distance.fits(classes, parts)]
    if run.role == "student" and settings.objective.alpha > 0 and name not in fitting:
        raise UserError(run, f"kd_loss {name} {KD_LOSSES[name].limit}", f"allowed here: {', '.join(fitting)}")


def _check_terms(run: RunName, settings: RunSettings, parts: int) -> None:
    """Check the terms: some need a batch in one part."""
    for term in terms_in(settings.objective):
        if parts > 1 and term.limit_in_parts:
            raise UserError(
                run, f"{term.key} {term.limit_in_parts}", f"start one process with accumulate 1, or set {term.key} to 0"
            )


def _check_rows(run: RunName, settings: RunSettings, train_rows: int, parts: int) -> None:
    """Check that each process gets at least two rows of each part of a batch."""
    training = settings.training
    counts = {
        f"batch_size {training.batch_size}": training.batch_size,
        f"train_share {training.train_share} of {train_rows} train rows": round(training.train_share * train_rows),
    }
    for what, count in counts.items():
        if count < 2 * parts:
            one = "processes" if training.accumulate == 1 else "parts of a batch"
            problem = f"{what} leaves some of {parts} {one} without rows"
            raise UserError(run, problem, f"raise it to at least {2 * parts} rows")


def _check_runtime(run: RunName, settings: RunSettings, processes: int) -> None:
    """Check the precision of frozen weights, which needs autocast for bf16, and the limits of CUDA graphs."""
    runtime, precision = settings.runtime, precision_of(settings.runtime)
    if settings.model.dtype == "bf16" and precision != "bf16":
        problem = f"models.{run.role}.dtype is bf16, but runtime.precision is {precision} here"
        raise UserError(run, problem, "set precision to bf16, or dtype to fp32")
    if uses_cuda_graphs(runtime) and settings.training.accumulate > 1:
        # A replay writes its gradients where those of the part before lie, so a sum over parts would be wrong.
        raise UserError(run, "runtime.cuda_graphs is true and accumulate is above 1", "set cuda_graphs to false")
    if uses_cuda_graphs(runtime) and runtime.recompute:
        raise UserError(run, "runtime.cuda_graphs and runtime.recompute are both true", "set one of them to false")
    if settings.objective.relation_weight and (runtime.recompute or uses_cuda_graphs(runtime)):
        key = "recompute" if runtime.recompute else "cuda_graphs"
        raise UserError(run, f"relation_weight does not work with runtime.{key}", f"set {key} to false")
    if processes > 1 and uses_cuda_graphs(runtime):
        problem = f"runtime.cuda_graphs is true, but there are {processes} processes"
        raise UserError(run, problem, "set it to false, or start one process")
