"""The command line of the training stages."""

import argparse


def run_arguments(description: str, *choices: str) -> argparse.Namespace:
    """Parse the command line of a training stage: --task, --seed, and the options named in `choices`."""
    parser = argparse.ArgumentParser(description=description)
    for option in ("task", *choices):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    return parser.parse_args()
