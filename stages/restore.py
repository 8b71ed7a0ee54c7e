"""Restore params.yaml, dvc.lock, settings/ and the committed study's results; git's stash keeps the old content."""

import argparse

from src.parallel.launcher import only_launcher
from src.parallel.study import run_dvc
from src.repository.dvc_state import check_no_dvc_works, mend
from src.study.named.restoring import changed_by_experiments, put_away
from src.system.errors import stage
from src.system.printing import counted


@stage
def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()

    with only_launcher():
        mend()
        files = changed_by_experiments()
        if not files:
            print("nothing to restore: these files are as committed")
            return
        check_no_dvc_works()
        put_away(files)
        print(
            f"restored as committed: {counted(len(files), 'file')}; `git stash pop` brings back the old content",
            flush=True,
        )
        run_dvc("checkout", "--allow-missing")


if __name__ == "__main__":
    main()
