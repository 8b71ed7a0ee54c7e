"""Make the digests and lists of `hashes/` from the files of the studies.

`python -m src.glue_data.lists --read FOLDER` makes them from the files of the committed studies. They hold no text.
"""

import argparse
import gzip
from pathlib import Path

import pandas as pd

from src.data.sources.local import read_table
from src.glue_data.files import LISTS, names_in, write_facts
from src.glue_data.rows import normal_digest, row_hashes, sha256
from src.system.errors import UserError, stage
from src.system.files import new_file

# The studies read some rows of these splits, and all rows of the others.
SAMPLES = ("qqp/train", "qqp/validation", "mnli/train", "mnli/validation_matched", "qnli/train")
ORDER = ("cola", "sst2", "mrpc", "rte", "wnli", "qqp", "mnli", "qnli", "chaosnli")
NAME_FROM = 10  # the byte of gzip's header where the name begins; the fourth byte says whether there is one
HAS_NAME = 0x08
ENDING = ".jsonl.gz"


@stage
def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--read", type=Path, required=True, help="a folder of <task>/<split>.jsonl.gz")
    parser.add_argument(
        "--to", type=Path, default=LISTS, help="the folder to write to (default: hashes/ beside this module)"
    )
    arguments = parser.parse_args()

    write_lists(arguments.read, arguments.to)


def write_lists(read: Path, lists: Path, samples: tuple[str, ...] = SAMPLES) -> None:
    """Write files.json, and a list of row hashes for each sample.

    Raises:
        UserError: a file that the present files.json describes is missing.
    """
    paths = {f"{task}/{path.name.removesuffix(ENDING)}": path for task in ORDER
             for path in sorted(read.glob(f"{task}/*{ENDING}"))}  # fmt: skip
    if missing := [name for name in names_in(lists) if name not in paths]:
        raise UserError(read / f"{missing[0]}{ENDING}", "not found", "give a folder with all files of the studies")
    facts = {}
    for name, path in paths.items():
        rows = read_table(path, [])
        facts[name] = facts_of(path, rows)
        if name in samples:
            lines = [" ".join(row) + "\n" for row in row_hashes(rows)]
            with new_file(lists / f"{name.replace('/', '-')}.txt") as draft:
                draft.write_text("".join(lines), encoding="utf-8")
    write_facts(lists, facts)


def facts_of(path: Path, rows: pd.DataFrame) -> dict:
    """The fields of a StudyFile, from its bytes and rows."""
    packed = path.read_bytes()
    named = packed[3] & HAS_NAME
    return {
        "rows": len(rows),
        "sha256": sha256(gzip.decompress(packed)),
        "normal_sha256": normal_digest(row_hashes(rows)),
        "gzip_sha256": sha256(packed),
        "gzip_name": packed[NAME_FROM : packed.index(b"\0", NAME_FROM)].decode() if named else "",
    }


if __name__ == "__main__":
    main()
