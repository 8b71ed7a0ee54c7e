"""The plan as text: the work, the speeds and the hours."""

from collections import Counter
from collections.abc import Iterator, Mapping

from benchmarks.plan.tasks import TaskRows
from benchmarks.plan.work import STARTUP, Seconds, Speeds, Unit, seconds_of, total_of, wall_seconds
from src.params import Role

GPUS = (1, 4, 8)
KINDS = {
    "training": "training",
    "measuring": "measuring after each epoch",
    "predicting": "predicting at the end",
    "starting": f"starting, {STARTUP:g} s a run (assumed)",
}


def work_lines(study: str, rows: Mapping[str, TaskRows], units: list[Unit]) -> Iterator[str]:
    """The lines on the work: runs by role, and rows by task."""
    by_role = Counter(run.role for unit in units for run in unit.runs)
    runs = Counter(unit.task for unit in units for _ in unit.runs)
    counts = " and ".join(f"{count} {role}s" for role, count in by_role.items())
    yield f"study {study}: {counts}, in {len(units)} units of a task and a seed"
    yield f"\n{'task':<16}{'runs':>6}{'train':>9}{'selection':>11}{'test':>8}{'tokens a row':>14}"
    for task, own in rows.items():
        sizes = f"{own.train:>9}{own.selection:>11}{own.test + own.also_test:>8}{own.tokens:>14.0f}"
        yield f"{task:<16}{runs[task]:>6}{sizes}  {'counted' if own.counted else 'assumed: no data at hand'}"


def speed_lines(
    speeds: Mapping[str, Mapping[Role, Speeds]], units: list[Unit], how: str, at_once: int
) -> Iterator[str]:
    """The lines on speed: rows per second of each role's runs, at the lengths of their own rows."""
    yield f"\n{f'rows/s of a run, {at_once} side by side':<36}{'training':>12}{'predicting':>12}{'memory':>10}  ({how})"
    for name, by_role in speeds.items():
        for role, own in by_role.items():
            runs = [run for unit in units for run in unit.runs if run.role == role]
            seconds = sum((seconds_of(run, by_role) for run in runs), Seconds())
            training = sum(run.trained for run in runs) / seconds.training
            predicting = sum(run.measured + run.predicted for run in runs) / (seconds.measuring + seconds.predicting)
            memory = f"{own.memory:.1f} GB" if own.memory else "-"
            yield f"{f'{name}, {role}':<36}{training:>12.1f}{predicting:>12.1f}{memory:>10}"


def hour_lines(
    speeds: Mapping[str, Mapping[Role, Speeds]], gpu: Mapping[Role, Speeds], units: list[Unit], at_once: int
) -> Iterator[str]:
    """The lines on time: hours by kind of work with one run at a time, and hours of all units side by side."""
    totals = {name: total_of(units, own) for name, own in speeds.items()} | {"1 GPU": total_of(units, gpu)}
    walls = [wall_seconds(units, own, at_once) for own in speeds.values()]
    yield f"\n{'hours, one run at a time':<36}" + "".join(f"{name:>10}" for name in totals)
    for kind, name in KINDS.items():
        yield hours(name, [getattr(one, kind) for one in totals.values()])
    yield hours("all", [one.total for one in totals.values()])
    yield hours(f"all, {at_once} units side by side", walls)


def hours(name: str, seconds: list[float]) -> str:
    """A line of hours."""
    return f"{name:<36}" + "".join(f"{one / 3600:>10.2f}" for one in seconds)


def gpu_lines(gpu: Mapping[Role, Speeds], units: list[Unit], name: str, graphs: bool) -> Iterator[str]:
    """The lines on GPUs: hours on several of them, and the source of the rates."""
    by = "with CUDA graphs, by the model's products" if graphs else "without CUDA graphs, by the model's layers"
    several = ", ".join(f"{wall_seconds(units, gpu, count) / 3600:.1f} hours on {count}" for count in GPUS)
    rates = " and ".join(f"{1 / own.training.row:,.0f} rows/s of a {role}" for role, own in gpu.items())
    yield f"\n{name}: {several}"
    yield f"  {rates}: assumed, from BERT-base's rate with 128 tokens a row in bf16,"
    yield f"  {by}; several small runs at a time share a GPU better (docs/scale.md)"
