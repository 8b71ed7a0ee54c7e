"""Make the files that the named studies read from glue-data/, byte for byte, from official copies of GLUE.

The official splits come from the hub, at the revision of params.yaml, or from a folder with a folder for each task.
Hashes in git name the rows that the studies read. If other rows are found, the file is not written. docs/data.md has
the details.
"""

import argparse
from pathlib import Path

from src.errors import stage
from src.glue_data.chaosnli import read_chaosnli
from src.glue_data.files import CHAOSNLI, LISTS, files_of, study_files
from src.glue_data.making import is_made, make_file
from src.glue_data.official import OfficialSplit, read_official
from src.params import PARAMS_FILE
from src.study.overrides import base_content, checked_content


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", help="such as cola or qqp (default: all eight)")
    parser.add_argument("--from", dest="folder", help="a folder with official data (default: the hub)")
    parser.add_argument("--to", type=Path, default=Path("glue-data"), help="the folder to fill (default: glue-data)")
    parser.add_argument("--chaosnli", metavar="FILE", help="the released chaosNLI_mnli_m.jsonl, for the study human")
    parser.add_argument(
        "--near", action="store_true", help="accept rows that differ only in blanks or quotes, and print the difference"
    )
    parser.add_argument("--lists", type=Path, default=LISTS, help="a folder of other hashes (src/glue_data/lists.py)")
    arguments = parser.parse_args()
    params = checked_content(PARAMS_FILE, base_content())

    for file in files_of(arguments.tasks, arguments.lists):
        if is_made(file, arguments.to):
            print(f"{arguments.to / file.name}: there already")
            continue
        official = read_official(file.task, file.split, params, arguments.folder)
        told = make_file(file, official, arguments.to, arguments.near)
        print(f"{arguments.to / file.name}: {file.rows} rows{told and f'; {told}'}", flush=True)

    [votes] = study_files()[CHAOSNLI]
    if arguments.chaosnli:
        released = OfficialSplit(arguments.chaosnli, read_chaosnli(arguments.chaosnli))
        told = make_file(votes, released, arguments.to)
        print(f"{arguments.to / votes.name}: {votes.rows} rows{told and f'; {told}'}")
    elif not arguments.tasks and not is_made(votes, arguments.to):
        print(f"{arguments.to / votes.name}: not made; the study human needs it: --chaosnli FILE (docs/data.md)")


if __name__ == "__main__":
    main()
