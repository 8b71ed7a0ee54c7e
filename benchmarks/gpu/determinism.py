"""Check on a GPU that two equal runs, and one that is killed and resumed, have the same results, byte for byte."""

import argparse
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.made import made_task, minilm, run_settings, save_model, tiny_minilm
from benchmarks.gpu.parts import started
from src.core.training.run import run_training
from src.params import CheckpointSettings, ModelSource
from src.runs import RunName

KINDS, WAYS = ("one", "two", "killed"), ("fp32", "bf16", "fp32 graphs")
RUN = RunName("made", "teacher", "cmi_max", 0)
FILES = ("record.json", "history.csv", "logits.parquet", "features.safetensors")


def measure(root: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Whether the runs of each way are equal, and whether the killed ones were killed."""
    root = root.resolve()
    config = tiny_minilm() if tiny else minilm()
    source = save_model(config, root / "model")
    places = {(kind, way): root / f"{kind}-{way.replace(' ', '-')}" for way in WAYS for kind in KINDS}
    runs = {run: _start(place, source, run[1], tiny) for run, place in places.items()}
    killed = [run for run in places if run[0] == "killed"]
    kills = [_kill_after_checkpoint(runs[run], places[run]) for run in killed]
    runs |= {run: _start(places[run], source, run[1], tiny) for run in killed}
    result = {"killed after a checkpoint": all(kills)}
    for way in WAYS:
        own = [(kind, way) for kind in KINDS]
        if failed := [run for run in own if runs[run].wait()]:
            yield {f"{way}, failed": (places[failed[0]] / "log").read_text()[-3000:]}
            result[way] = False
            continue
        one, two, resumed = (_bytes(places[run]) for run in own)
        result |= {f"{way}, equal runs": two == one, f"{way}, killed and resumed": resumed == one}
        yield result
    yield {"passed": all(result.values())}


def _start(folder: Path, source: ModelSource, way: str, tiny: bool) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    options = ["--model", source.name, "--way", way, *(["--tiny"] if tiny else [])]
    with (folder / "log").open("ab") as log:
        return started("benchmarks.gpu.determinism", folder, options, {}, stdout=log, stderr=log)


def _kill_after_checkpoint(process: subprocess.Popen, folder: Path) -> bool:
    """Kill a run once it has saved a checkpoint, and return whether it was killed before its end."""
    while process.poll() is None and not list(folder.glob("checkpoints/*/step-*.pt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _bytes(folder: Path) -> list[bytes]:
    return [(RUN.folder(folder / "runs") / file).read_bytes() for file in FILES]


def main() -> None:
    """Train the run in the working folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--way", required=True, choices=WAYS)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    rows = 256 if arguments.tiny else 2000
    training = {"epochs": 3, "batch_size": 16, "max_length": 48, "lr": 1e-4}
    source = ModelSource(source="folder", name=arguments.model)
    settings = run_settings(source, arguments.way, training, cmi_weight=-2.0)
    often = CheckpointSettings(seconds=1.0, largest_share=1.0)
    run_training(RUN, made_task(rows, (5, 40), vocabulary=1000), replace(settings, checkpoints=often))


if __name__ == "__main__":
    main()
