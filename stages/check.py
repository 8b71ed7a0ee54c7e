"""Before `dvc repro`: check params.yaml, whose faults DVC words less well, and mend what a killed DVC left."""

from src.params import PARAMS_FILE, read_yaml
from src.repository.dvc_state import mend
from src.study.named.overrides import checked_content
from src.system.errors import stage


@stage
def main() -> None:
    checked_content(PARAMS_FILE, read_yaml(PARAMS_FILE))
    mend()


if __name__ == "__main__":
    main()
