"""Check that what git keeps of the study in params.yaml belongs to the code and params of today; nothing is run."""

import re
import subprocess
import sys

from src.params import load_params
from src.repository.settings import settings_are_written
from src.system.errors import UserError, stage

SHOWN = 3
ALLOWED = "run `make repro`, and commit what it changes"


def stale_stages() -> list[str]:
    """The stages that DVC would run, but for `settings`, which runs always; data and runs need not be here.

    Raises:
        UserError: DVC says neither that it would run a stage nor that it would skip one.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--allow-missing", "--dry"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    told = outcome.stdout + outcome.stderr
    found = re.findall(r"^(?:Running stage|ERROR: failed to reproduce) '(.+?)'", told, flags=re.MULTILINE)
    if "settings" not in found or (outcome.returncode and set(found) == {"settings"}):
        raise UserError("dvc repro --dry", f"ends with status {outcome.returncode}", "try it by hand")
    return [name for name in dict.fromkeys(found) if name != "settings"]


@stage
def main() -> None:
    if not settings_are_written(load_params()):
        raise UserError("settings", "is not what params.yaml comes to", ALLOWED)
    if stale := stale_stages():
        more = f" and {len(stale) - SHOWN} more" if len(stale) > SHOWN else ""
        problem = f"is not of today's code and params; stale: {', '.join(stale[:SHOWN])}{more}"
        raise UserError("dvc.lock", problem, ALLOWED)
    print("dvc.lock and settings/ are of today's code and params")


if __name__ == "__main__":
    main()
