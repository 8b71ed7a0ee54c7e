"""Before `dvc repro`: check params.yaml, whose faults DVC words less well, and mend what a killed DVC left."""

from src.dvc_state import mend
from src.errors import stage
from src.params import load_params
from src.study.pairs import pairs_to_compare


@stage
def main() -> None:
    pairs_to_compare(load_params())  # else a misspelt arm in evaluate.pairs would be found after all the training
    mend()


if __name__ == "__main__":
    main()
