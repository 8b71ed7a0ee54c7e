"""Two equal runs, and one that is killed and goes on, on a GPU: the same results, byte for byte."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.made import REPOSITORY, made_task, minilm, run_settings, save_model
from src.core.experiment import carry_out
from src.params import CheckpointSettings, ModelSource
from src.runs import RunName

PRECISIONS = ("fp32", "bf16")
RUN = RunName("made", "teacher", "cmi_max", 0)
FILES = ("record.json", "history.csv", "logits.parquet", "features.safetensors")


def measure(root: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Whether the runs of each precision are equal, and how often the killed one was killed."""
    root = root.resolve()
    config = minilm(layers=2, hidden_size=96, vocab_size=1000) if tiny else minilm()
    source = save_model(config, root / "model")
    places = {
        name: root / name for name in (f"{kind}-{one}" for one in PRECISIONS for kind in ("one", "two", "killed"))
    }
    started = {name: _start(place, source, name.partition("-")[2], tiny) for name, place in places.items()}
    killed = [name for name in places if name.startswith("killed")]
    kills = [_kill_after_checkpoint(started[name], places[name]) for name in killed]
    started |= {name: _start(places[name], source, name.partition("-")[2], tiny) for name in killed}
    for name, process in started.items():
        if process.wait():
            raise RuntimeError(f"a run failed: {(places[name] / 'log').read_text()[-3000:]}")
    result = {"killed after a checkpoint": all(kills)}
    for precision in PRECISIONS:
        truth = _bytes(places[f"one-{precision}"])
        result[f"{precision}, equal runs"] = _bytes(places[f"two-{precision}"]) == truth
        result[f"{precision}, killed and resumed"] = _bytes(places[f"killed-{precision}"]) == truth
    yield result | {"passed": all(result.values())}


def _start(folder: Path, source: ModelSource, precision: str, tiny: bool) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    options = ["--model", source.name, "--precision", precision, *(["--tiny"] if tiny else []), "--folder", str(folder)]
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"}
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "benchmarks.gpu.determinism", *options]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def _kill_after_checkpoint(process: subprocess.Popen, folder: Path) -> bool:
    """Kill a run once it has saved a checkpoint; whether it was killed before its end."""
    while process.poll() is None and not list(folder.glob("checkpoints/*/step-*.pt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _bytes(folder: Path) -> list[bytes]:
    return [(RUN.folder(folder / "runs") / file).read_bytes() for file in FILES]


def main() -> None:
    """Carry out the run in the folder this is called from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    rows = 256 if arguments.tiny else 2000
    training = {"epochs": 3, "batch_size": 16, "max_length": 48, "lr": 1e-4}
    source = ModelSource(source="folder", name=arguments.model)
    settings = run_settings(source, arguments.precision, training, cmi_weight=-2.0)
    often = CheckpointSettings(seconds=1.0, largest_share=1.0)
    carry_out(RUN, made_task(rows, (5, 40), vocabulary=1000), replace(settings, checkpoints=often))


if __name__ == "__main__":
    main()
