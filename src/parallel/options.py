"""The options of a command that runs units side by side."""

import argparse
import re
from dataclasses import dataclass

from src.parallel.units import WHOLE, Part


@dataclass(frozen=True)
class Options:
    """How many units run at a time, which, and where.

    `jobs` None is as many as there are GPUs, or cores; `per_gpu` share one of these; `part` (i, n) is every n-th unit,
    beginning with the i-th; `ray` is the address of a cluster, None this machine.
    """

    jobs: int | None = None
    per_gpu: int = 1
    part: Part = WHOLE
    ray: str | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Have a command know these options."""
    parser.add_argument("--jobs", type=count, help="units at a time; default: all GPUs, or all cores")
    parser.add_argument("--per-gpu", type=count, default=1, help="how many share a GPU (default: 1)")
    parser.add_argument("--part", type=_part, default=WHOLE, help="i/n: every n-th unit, beginning with the i-th")
    parser.add_argument("--ray", type=_address, metavar="HOST:PORT", help="run on the Ray cluster with this address")


def options_in(arguments: argparse.Namespace) -> Options:
    """What a command was given of these options."""
    return Options(arguments.jobs, arguments.per_gpu, arguments.part, arguments.ray)


def count(text: str) -> int:
    """A number from 1 on, as an option's type."""
    if not re.fullmatch("[1-9][0-9]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _address(text: str) -> str:
    if not re.fullmatch(r"[^\s:/]+:[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as 10.0.0.1:6379")
    return text


def _part(text: str) -> Part:
    match = re.fullmatch("([1-9][0-9]*)/([1-9][0-9]*)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no part such as 1/3 or 3/3")
    return int(match[1]), int(match[2])
