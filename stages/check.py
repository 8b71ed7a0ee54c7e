"""Check params.yaml with clearer errors than DVC's, and repair files that a killed DVC left. Run before `dvc repro`."""

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
