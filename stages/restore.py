"""Put params.yaml, dvc.lock, settings/ and the committed study's results back; what they held goes to git's stash."""

import argparse

from src.parallel.launcher import only_launcher
from src.parallel.progress import counted
from src.parallel.study import run_dvc
from src.repository.dvc_state import check_no_dvc_works, mend
from src.study.named.restoring import changed_by_experiments, put_away
from src.system.errors import stage


@stage
def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()

    with only_launcher():
        mend()
        files = changed_by_experiments()
        if not files:
            print("nothing to put back: all is as committed")
            return
        check_no_dvc_works()
        put_away(files)
        print(
            f"put back as committed: {counted(len(files), 'file')}; `git stash pop` brings back what they held",
            flush=True,
        )
        run_dvc("checkout", "--allow-missing")


if __name__ == "__main__":
    main()
