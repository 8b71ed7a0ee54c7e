"""Units, which can run side by side: the stages of one task and one seed. Students need their teachers.

One launcher at a time runs the units of a repository.
"""

import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.system.errors import UserError
from src.system.locks import lock_if_free

UNITS_FOLDER = Path(".dvc/tmp/units")  # a copy of the repository for each unit that runs, and the lock of launchers
COMMAND = re.compile(r"python -m stages\.(?:finetune|student|distill) .*--task (?P<task>\S+).* --seed (?P<seed>\d+)")
Part = tuple[int, int]
WHOLE: Part = (1, 1)
MORE = "_more@"  # in the names of stages of `more_seeds`, which otherwise equal the stages without it


@dataclass(frozen=True)
class Unit:
    """The training stages of a task and a seed, by their names in dvc.yaml and in its order."""

    task: str
    seed: int
    stages: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name for its folder and its log."""
        return f"{self.task}-{self.seed}"

    @property
    def groups(self) -> list[str]:
        """The names of its stages in dvc.yaml without their items, in a pipeline with this seed alone."""
        return list(dict.fromkeys(in_copy(stage).partition("@")[0] for stage in self.stages))


def params_of_unit(task: str, seed: int) -> dict[str, Any]:
    """The keys of params.yaml that leave one unit of a study."""
    return {"tasks": [task], "seeds": [seed], "more_seeds": {"tasks": [], "seeds": []}}


def units_of(commands: dict[str, str]) -> list[Unit]:
    """The units of a pipeline, in the order in which their first stages occur.

    Args:
        commands: each stage's command, in the order of dvc.yaml.
    """
    found: dict[tuple[str, int], list[str]] = {}
    for stage, command in commands.items():
        if match := COMMAND.fullmatch(command):
            found.setdefault((match["task"], int(match["seed"])), []).append(stage)
    return [Unit(*key, tuple(stages)) for key, stages in found.items()]


def part_of(units: list[Unit], part: Part) -> list[Unit]:
    """The units of a part: for (i, n) every n-th unit, beginning with the i-th."""
    number, count = part
    return units[number - 1 :: count]


def stale(units: Iterable[Unit], changed: Iterable[str]) -> list[Unit]:
    """The units with a changed stage."""
    names = set(changed)
    return [unit for unit in units if names.intersection(unit.stages)]


def in_copy(stage: str) -> str:
    """The name of a stage in a unit's own pipeline, whose only seed is the unit's."""
    return stage.replace(MORE, "@", 1)


@contextmanager
def launchers_lock() -> Generator[None]:
    """Hold the lock that allows one launcher per repository.

    Raises:
        UserError: another launcher runs here.
    """
    lock = lock_if_free(UNITS_FOLDER / "lock")
    if lock is None:
        raise UserError(UNITS_FOLDER, "another launcher already runs its units", "wait for that launcher, or stop it")
    try:
        yield
    finally:
        lock.release()
