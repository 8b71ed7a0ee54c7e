"""The options of a command that runs units side by side."""

import argparse
import re

from src.parallel.units import WHOLE, Part


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many units run at a time, and which: --jobs, --per-gpu, --part."""
    parser.add_argument("--jobs", type=count, help="units at a time; default: all GPUs, or all cores")
    parser.add_argument("--per-gpu", type=count, default=1, help="how many share a GPU (default: 1)")
    parser.add_argument("--part", type=_part, default=WHOLE, help="i/n: every n-th unit, beginning with the i-th")


def count(text: str) -> int:
    """A number from 1 on, as an option's type."""
    if not re.fullmatch("[1-9][0-9]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _part(text: str) -> Part:
    match = re.fullmatch("([1-9][0-9]*)/([1-9][0-9]*)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no part such as 1/3 or 3/3")
    return int(match[1]), int(match[2])
