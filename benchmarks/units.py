"""The cost of DVC per run with units side by side, in a study of 602 runs that do nothing.

Timed: the first and the last hundred runs, from end to end, two at a time. The stages have the number and dependencies
of the stages in dvc.yaml, and each writes one file. The launcher, its copies, DVC and dvc.lock are real.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import Figure
from benchmarks.scratch import REPOSITORY, Setting, run
from src.params import PARAMS_FILE, read_yaml
from src.params.reading import yaml_text

SEEDS, RUNS_A_SEED, TASK = 86, 7, "vader-movie"
CODE = tuple(f"code/part{number}.txt" for number in range(6))
STAGE = """import sys, time
from pathlib import Path
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
arm = options.get("--arm") or f"{options['--recipe']}-{options['--teacher']}"
role = "teacher" if "finetune" in sys.argv[0] else "student"
folder = Path("runs", options["--task"], role, arm, options["--seed"])
folder.mkdir(parents=True)
(folder / "ended").write_text(str(time.time()))
"""
LAUNCH = """from src.parallel.options import Options
from src.parallel.study import run_units
run_units(Options(jobs=2))
"""


def figures(setting: Setting) -> list[Figure]:
    """A worker's seconds per run, and the time of the last hundred runs over the time of the first."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-units-") as folder:
        root = Path(folder)
        _write_study(root)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", LAUNCH], cwd=root, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, check=True,
            capture_output=True,
        )  # fmt: skip
        each = 2 * (time.perf_counter() - began) / (SEEDS * RUNS_A_SEED)
        ends = sorted(float(path.read_text()) for path in root.glob("runs/**/ended"))
    first, last = ends[100] - ends[0], ends[-1] - ends[-101]
    return [
        Figure("DVC and a worker's start, a run of 602", each, "s", at_most=1.5),
        Figure("the last hundred runs / the first", last / first, "x", at_most=1.25),
    ]


def _write_study(root: Path) -> None:
    params = read_yaml(REPOSITORY / PARAMS_FILE) | {"tasks": [TASK], "seeds": list(range(SEEDS))}
    (root / PARAMS_FILE).write_text(yaml_text(params))
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": _stages()}, sort_keys=False))
    (root / "stages").mkdir()
    for name in ("__init__", "finetune", "student", "distill"):
        (root / "stages" / f"{name}.py").write_text(STAGE if name != "__init__" else "")
    for number, name in enumerate(CODE):
        (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "src" / name).write_text(str(number))
    for command in (("git", "init", "--quiet"), ("dvc", "init", "--quiet")):
        run(root, *command)


def _stages() -> dict[str, Any]:
    """The training stages of dvc.yaml, and the stages before them."""
    made = {
        "settings": {"cmd": "mkdir -p settings && touch settings/a", "outs": [{"settings": {"cache": False}}]},
        "prepare": {"cmd": f"mkdir -p data/{TASK} && touch data/{TASK}/a", "outs": [f"data/{TASK}"]},
    }
    teacher = "runs/${item.task}/teacher/${item.teacher}/${item.seed}"
    made["finetune"] = _training("finetune", {"arm": "${finetune.arms}"}, "runs/${item.task}/teacher/${item.arm}")
    made["student"] = _training("student", {"arm": "${student.arms}"}, "runs/${item.task}/student/${item.arm}")
    axes = {"teacher": "${finetune.arms}", "recipe": "${distill.recipes}"}
    made["distill"] = _training("distill", axes, "runs/${item.task}/student/${item.recipe}-${item.teacher}", teacher)
    return made


def _training(name: str, axes: dict[str, str], output: str, *more: str) -> dict[str, Any]:
    options = " ".join(f"--{axis} ${{item.{axis}}}" for axis in axes)
    return {
        "matrix": {"task": "${tasks}"} | axes | {"seed": "${seeds}"},
        "cmd": f"python -m stages.{name} --task ${{item.task}} {options} --seed ${{item.seed}}",
        "deps": [*(f"src/{part}" for part in CODE), f"data/{TASK}", *more],
        "outs": [f"{output}/${{item.seed}}"],
    }
