"""Run the parts one after the other, each with its time limit; write what they found, and print it.

    python -m benchmarks.gpu [--only smoke ...] [--output FILE] [--tiny]

`--tiny` is for a machine without a GPU: small sizes, which show that the script works and nothing else.
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

from benchmarks.gpu.parts import LIMITS, RESULTS, limited
from src.system.files import write_json


def main() -> int:
    """The exit status is 1 if a part broke, ran out of time, or found what must not be."""
    arguments = _arguments()
    found: dict[str, Any] = {"machine": _machine(), "tiny": arguments.tiny}
    for name in arguments.only or LIMITS:
        began = time.monotonic()
        found[name] = limited(name, arguments.tiny) | {"seconds": round(time.monotonic() - began, 1)}
        write_json(arguments.output, found)
        print(f"{name}: {json.dumps(found[name], indent=1)}", flush=True)
    parts = [part for name, part in found.items() if name in LIMITS]
    return int(any("broken" in part or part.get("passed") is False for part in parts))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=LIMITS, metavar="PART", help=f"some of: {', '.join(LIMITS)}")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--tiny", action="store_true", help="small sizes, also without a GPU")
    arguments = parser.parse_args()
    if not (arguments.tiny or torch.cuda.is_available()):
        parser.error("no GPU here; --tiny tries the script without one")
    return arguments


def _machine() -> dict[str, Any]:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    return {"device": name} | versions


if __name__ == "__main__":
    sys.exit(main())
