"""Parts of command lines."""

import argparse
import re


def run_arguments(description: str, *choices: str) -> argparse.Namespace:
    """Parse the command line of a training stage: --task, --seed, and the options named in `choices`."""
    parser = argparse.ArgumentParser(description=description)
    for option in ("task", *choices):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    return parser.parse_args()


def count(text: str) -> int:
    """A whole number of at least 1, as an option's type."""
    if not re.fullmatch("[1-9][0-9]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
