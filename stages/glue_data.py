"""Make the files that the named studies read from glue-data/, byte for byte, from official copies of GLUE.

The official splits come from the hub, at the revision of params.yaml, or from a folder with a folder for each task.
Hashes in git name the rows that the studies read. If other rows are found, the file is not written.
docs/study-data.md has the details.
"""

import argparse
from pathlib import Path

from src.glue_data.chaosnli import read_chaosnli
from src.glue_data.files import CHAOSNLI, LISTS, StudyFile, files_of, study_files
from src.glue_data.making import is_made, make_file
from src.glue_data.official import OfficialSplit, read_official
from src.params import PARAMS_FILE
from src.study.named.overrides import base_content, checked_content
from src.system.errors import UserError, stage
from src.system.files import user_path


@stage
def main() -> None:
    arguments = _arguments()
    params, folder = checked_content(PARAMS_FILE, base_content()), user_path(arguments.to)
    files = files_of(arguments.tasks, arguments.lists)
    if arguments.folder is not None and user_path(arguments.folder).resolve() == folder.resolve():
        raise UserError("--from", "is the folder to fill, and its files would be replaced", "another folder, or --to")
    released = OfficialSplit(arguments.chaosnli, read_chaosnli(arguments.chaosnli)) if arguments.chaosnli else None

    for file in files:
        if is_made(file, folder):
            print(f"{folder / file.name}: there already")
            continue
        official = read_official(file.task, file.split, params, arguments.folder)
        _tell(file, folder, make_file(file, official, folder, arguments.near))

    [votes] = study_files()[CHAOSNLI]
    if released is not None:
        _tell(votes, folder, make_file(votes, released, folder))
    elif not arguments.tasks and not is_made(votes, folder):
        print(f"{folder / votes.name}: not made; the study human needs it: --chaosnli FILE (docs/study-data.md)")


def _tell(file: StudyFile, folder: Path, remark: str) -> None:
    print(f"{folder / file.name}: {file.rows} rows{remark and f'; {remark}'}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", help="such as cola or qqp (default: all eight)")
    parser.add_argument("--from", dest="folder", help="a folder with official data (default: the hub)")
    parser.add_argument("--to", default="glue-data", help="the folder to fill (default: glue-data)")
    parser.add_argument("--chaosnli", metavar="FILE", help="the released chaosNLI_mnli_m.jsonl, for the study human")
    parser.add_argument(
        "--near", action="store_true", help="accept rows that differ only in blanks or quotes, and print the difference"
    )
    parser.add_argument("--lists", type=Path, default=LISTS, help="a folder of other hashes (src/glue_data/lists.py)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
