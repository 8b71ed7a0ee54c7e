"""Check params.yaml before DVC reads it: DVC's own words for a wrong task or seed list are hard to read."""

from src.arms import pairs_to_compare
from src.errors import stage
from src.params import load_params


@stage
def main() -> None:
    pairs_to_compare(load_params())  # else a misspelt arm in evaluate.pairs would be found after all the training


if __name__ == "__main__":
    main()
