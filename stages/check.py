"""Check params.yaml before DVC reads it: DVC's own words for a wrong task or seed list are hard to read."""

from src.errors import stage
from src.params import load_params


@stage
def main() -> None:
    load_params()


if __name__ == "__main__":
    main()
