"""What the tests of hostile and broken input share.

Every case ends in one line on stderr and exit status 1, and leaves nothing behind. The tables of the tests hold the
cases: a name, what is broken, how, and what the line must say. The cases go through the stages themselves. Each test
records what it found, and `make faults` writes docs/faults.md from these records. The fixtures are in conftest.py.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml

from tests.conftest import REPOSITORY, flipped, labelled_texts, params_content

PREPARE, FINETUNE = ["--task", "tiny"], ["--task", "tiny", "--arm", "ce", "--seed", "0"]
TINY = {"source": "folder", "path": "source", "text": ["sentence"], "metrics": ["accuracy"]}
TINY |= {"labels": ["negative", "positive"]}


class Case(NamedTuple):
    """What is broken, for people; how it is broken, in the form of its table; what the line must say."""

    fault: str
    damage: Any
    expected: str


def table(cases: dict[str, tuple[str, Any, str]]) -> Callable:
    """Parametrise a test over the cases of a table."""
    return pytest.mark.parametrize("case", [pytest.param(Case(*case), id=name) for name, case in cases.items()])


def write_params(*changes: tuple[str, Any]) -> None:
    """The committed params.yaml with the task `tiny`, and with some dotted keys set."""
    content = params_content()
    content["task_settings"]["tiny"] = dict(TINY)
    for key, value in changes:
        *path, last = key.split(".")
        section = content
        for part in path:
            section = section[part]
        section[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def write_source(name: str, content: str | bytes | pd.DataFrame) -> None:
    Path("source/train.jsonl").unlink()
    if isinstance(content, pd.DataFrame):
        content.to_parquet(f"source/{name}")
    else:
        Path("source", name).write_bytes(content if isinstance(content, bytes) else content.encode())


def write_lines(name: str, rows: list[dict]) -> None:
    Path("source", name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def jsonl(rows: int = 160) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in labelled_texts(rows, 0)).encode()


def everything(folder: Path) -> set[Path]:
    """What lies in a folder, but for locks and for logs, which keep why a run failed."""
    found = {path for path in folder.rglob("*") if path.suffix != ".lock"}
    return {path for path in found if "logs" not in path.relative_to(folder).parts}


def in_a_process(*command: str) -> subprocess.CompletedProcess:
    """Run a command in the current folder that finds this repository's modules."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def written(name: str, content: str | bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def shortened(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def bit_flipped(name: str, place: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(flipped((folder / name).read_bytes(), place))
