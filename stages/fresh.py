"""Check, without running a stage, that the results in git match the code and params.yaml."""

import argparse
import re
import subprocess
import sys

from src.params import load_params
from src.repository.settings import settings_are_written
from src.system.errors import UserError, stage

SHOWN = 3
ALLOWED = "run `make repro`, and commit what it changes"


def stale_stages() -> list[str]:
    """The stages that DVC would run, without `settings`, which always runs. Data and runs may be missing here.

    Raises:
        UserError: DVC ended with an error before it named the stages.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--allow-missing", "--dry"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    told = outcome.stdout + outcome.stderr
    found = re.findall(r"^(?:Running stage|ERROR: failed to reproduce) '(.+?)'", told, flags=re.MULTILINE)
    if "settings" not in found or (outcome.returncode and set(found) == {"settings"}):
        raise UserError("dvc repro --dry", f"ends with status {outcome.returncode}", "run it by hand to see its error")
    return [name for name in dict.fromkeys(found) if name != "settings"]


@stage
def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()

    if not settings_are_written(load_params()):
        raise UserError("settings", "does not match params.yaml", ALLOWED)
    if stale := stale_stages():
        more = f" and {len(stale) - SHOWN} more" if len(stale) > SHOWN else ""
        problem = f"does not match the code and params.yaml (stale: {', '.join(stale[:SHOWN])}{more})"
        raise UserError("dvc.lock", problem, ALLOWED)
    print("dvc.lock and settings/ match the code and params.yaml")


if __name__ == "__main__":
    main()
