"""The state of each run of a study, by the rules of docs/live.md."""

import statistics
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from src.arms import arms_of, settings_of
from src.core.monitoring.event_files import Epoch
from src.data.prepared import DATA_FOLDER, SPLITS_FOLDER
from src.params import Params, Role, Training
from src.runs import RunName, runs_of_task
from src.status.found import Found, found_of, now
from src.status.logs import failures_in_log
from src.system.files import read_json

State = Literal["running", "slow", "diverging", "failed", "waiting", "finished"]
STATES: tuple[State, ...] = get_args(State)
SLOW = 2.0  # times the median of finished runs of its kind
LEARNT_BY = 2  # epochs after which a run should be better than the most frequent label


class RunState(NamedTuple):
    """A run's state, last epoch, number of epochs, score on selection and start, with a remark."""

    name: RunName
    state: State
    epoch: int | None
    epochs: int
    score: float | None
    began: float | None
    told: str


def study_states(params: Params) -> list[RunState]:
    """The state of every run that a study asks for."""
    return [state for task in params.tasks for state in _task_states(params, task)]


def _task_states(params: Params, task: str) -> list[RunState]:
    logs = {seed: failures_in_log(params.study, task, seed) for seed in params.seeds_of(task)}
    found = [found_of(params.study, name, logs[name.seed]) for name in runs_of_task(params, task)]
    tag = f"selection/{params.task(task).metrics[0]}"
    majority, trainings = _majority_score(params, task), _trainings(params, task)
    return [_state(run, found, tag, majority, trainings[run.name.role, run.name.arm]) for run in found]


def _state(run: Found, others: Iterable[Found], tag: str, majority: float | None, training: Training) -> RunState:
    state, told = _judged(run, others, tag, majority)
    epochs = training.plain_epochs + training.epochs + training.head_epochs
    known = run.curve.epochs if run.curve and state != "finished" else {}
    last = max(known, default=None)
    score = None if last is None else known[last].values.get(tag)
    began = run.curve.began if run.curve and run.runs_now else None
    return RunState(run.name, state, last, epochs, score, began, told)


def _judged(run: Found, others: Iterable[Found], tag: str, majority: float | None) -> tuple[State, str]:
    curve = run.curve
    if curve is not None and run.runs_now:
        if problem := _diverges(curve.epochs, tag, majority):
            return "diverging", problem
        usual = _usual_seconds(run.name, others)
        if usual is not None and now() - curve.began > SLOW * usual:
            return "slow", f"such runs take {usual:.0f} s"
        return "running", ""
    if run.failure is not None and (run.finished is None or run.failure.at > run.finished):
        return "failed", run.failure.line
    if run.finished is not None:
        return "finished", ""
    stopped = curve is not None and curve.ended is None
    return "waiting", "stopped; it continues from its checkpoint, if it has one" if stopped else ""


def _diverges(epochs: dict[int, Epoch], tag: str, majority: float | None) -> str:
    """The reason why a run seems to learn nothing; empty if it learns."""
    losses = [epoch.values["loss/total"] for _, epoch in sorted(epochs.items()) if "loss/total" in epoch.values]
    if len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]:
        return f"its loss rose twice, to {losses[-1]:.4g}"
    score = epochs[max(epochs)].values.get(tag) if epochs else None
    if majority is not None and score is not None and len(epochs) >= LEARNT_BY and score <= majority + 1e-6:
        return f"no better than the most frequent label ({majority:.4f})"
    return ""


def _usual_seconds(name: RunName, others: Iterable[Found]) -> float | None:
    """The median time of finished runs: those of the same arm, or else those of the same role."""
    timed = [run for run in others if run.seconds is not None and run.name.role == name.role and run.name != name]
    same_arm = [run for run in timed if run.name.arm == name.arm]
    return statistics.median(run.seconds or 0.0 for run in same_arm or timed) if timed else None


def _majority_score(params: Params, task: str) -> float | None:
    """The score on selection of the most frequent label; None where the task has not been prepared."""
    path = DATA_FOLDER / task / SPLITS_FOLDER / "task.json"
    if not path.is_file():
        return None
    from src.study.claims.majority import majority_scores  # pandas takes a quarter second

    return majority_scores(read_json(path), "selection").get(params.task(task).metrics[0])


def _trainings(params: Params, task: str) -> dict[tuple[Role, str], Training]:
    """The optimisation of each arm's runs, by role and arm."""
    arms = [(role, arm) for role, names in arms_of(params).items() for arm in names]
    return {(role, arm): settings_of(params, task, role, arm).training for role, arm in arms}
