"""Run the parts one after the other, each with its time limit, and write and print their results.

    python -m benchmarks.gpu [--only smoke ...] [--output FILE] [--tiny]

Results go into the file as they come. Parts of an earlier call stay there, so one call can measure `smoke determinism
speed` (nine minutes) and another one `many`. A file of another machine, training code or size is refused. `--tiny`
takes small sizes, which only show that the script works. It needs no GPU.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.gpu.parts import ALL_LIMITS, LIMITS, limited
from src.core.training_code import training_code
from src.system.files import read_json, write_json
from src.system.interrupts import Stopped, raise_on_signals


def main() -> int:
    """Run the parts. The exit status is 1 if a part broke, ran out of time, or failed its check."""
    arguments = _arguments()
    found = _begun(arguments.output, {"machine": _machine(), "tiny": arguments.tiny})
    parts = [_run(name, arguments, found) for name in arguments.only or LIMITS]
    return int(any("broken" in part or part.get("passed") is False for part in parts))


def _run(name: str, arguments: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    """Run a part, print its results, and write them as they come. Earlier ones stay until the part has ended well."""
    began, kept = time.monotonic(), found.get(name, {"broken": ""})
    part: dict[str, Any] = {}
    for results in limited(name, arguments.tiny):
        part = results | {"seconds": round(time.monotonic() - began, 1)}
        if "broken" in kept or "broken" not in part:
            found[name] = part
            write_json(arguments.output, found)
    print(f"{name}: {json.dumps(part, indent=1)}", flush=True)
    return part


def _begun(output: Path, setting: dict[str, Any]) -> dict[str, Any]:
    """The results in a file of an earlier call, or the setting alone. Results of another setting stay as they are."""
    before = read_json(output) if output.is_file() else setting
    if not setting.items() <= before.items():
        sys.exit(f"error: {output}: its results have another machine, training code or size; give another --output")
    return before


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=ALL_LIMITS, metavar="PART", help=f"some of: {', '.join(ALL_LIMITS)}"
    )
    parser.add_argument("--output", type=Path, default="gpu.json", help="the JSON file to write (gpu.json)")
    parser.add_argument("--tiny", action="store_true", help="use small sizes, also without a GPU")
    arguments = parser.parse_args()
    if not (arguments.tiny or torch.cuda.is_available()):
        parser.error("this machine has no GPU; add --tiny to try the script without one")
    return arguments


def _machine() -> dict[str, Any]:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "training code": training_code(),
    }
    return {"device": name} | versions


if __name__ == "__main__":
    try:
        with raise_on_signals():
            sys.exit(main())
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_status)
