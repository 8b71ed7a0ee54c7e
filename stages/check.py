"""Before `dvc repro`: check params.yaml, whose faults DVC words less well, and mend what a killed DVC left."""

from src.dvc_state import mend
from src.errors import stage
from src.params import load_params
from src.study.pairs import pairs_to_compare
from src.submission.asked import check_submissions


@stage
def main() -> None:
    params = load_params()  # what is misspelt in evaluate and submit would else be found after all the training
    pairs_to_compare(params)
    check_submissions(params)
    mend()


if __name__ == "__main__":
    main()
