"""The options of a command that runs units side by side."""

import argparse
import re
from dataclasses import dataclass

from src.parallel.units import WHOLE, Part
from src.system.command_line import count


@dataclass(frozen=True)
class Options:
    """The number of units that run at a time, which units run, and where.

    Attributes:
        jobs: units at a time. None means all GPUs, or all cores.
        per_gpu: units that share a GPU.
        part: (i, n) is every n-th unit, beginning with the i-th.
        ray: the address of a cluster. None means this machine.
    """

    jobs: int | None = None
    per_gpu: int = 1
    part: Part = WHOLE
    ray: str | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add these options to a command."""
    parser.add_argument("--jobs", type=count, help="units at a time; default: all GPUs, or all cores")
    parser.add_argument("--per-gpu", type=count, default=1, help="how many share a GPU (default: 1)")
    parser.add_argument("--part", type=_part, default=WHOLE, help="i/n: every n-th unit, beginning with the i-th")
    parser.add_argument("--ray", type=_address, metavar="HOST:PORT", help="run on the Ray cluster with this address")


def add_arms_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--arms` to a command that trains single arms."""
    parser.add_argument(
        "--arms",
        nargs="+",
        default=[],
        metavar="ARM",
        help="only these arms, and the teachers that their students need",
    )


def options_in(arguments: argparse.Namespace) -> Options:
    """The values of these options in a command's arguments."""
    return Options(arguments.jobs, arguments.per_gpu, arguments.part, arguments.ray)


def _address(text: str) -> str:
    if not re.fullmatch(r"[^\s:/]+:[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as 10.0.0.1:6379")
    return text


def _part(text: str) -> Part:
    match = re.fullmatch("([1-9][0-9]*)/([1-9][0-9]*)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 1/3 or 3/3")
    return int(match[1]), int(match[2])
