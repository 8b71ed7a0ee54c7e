"""Redo the tables, verdicts and figures of a named study from its records in git, without training and without DVC."""

import argparse

from src.study.named.recorded import recorded_study
from src.system.errors import stage
from stages.evaluate import evaluate
from stages.plot import plot


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/")
    params = recorded_study(parser.parse_args().name)

    evaluate(params)
    plot(params)


if __name__ == "__main__":
    main()
