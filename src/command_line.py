"""The command line of the training stages."""

import argparse


def run_arguments(description: str, *choices: str, optional: str | None = None) -> argparse.Namespace:
    """The command line of a training stage: --task, --seed, the options named in `choices`, and an optional one."""
    parser = argparse.ArgumentParser(description=description)
    for option in ("task", *choices):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    if optional is not None:
        parser.add_argument(f"--{optional}")
    return parser.parse_args()
