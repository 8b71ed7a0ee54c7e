"""The hashes and lists in git of the files that the named studies read from `glue-data/`.

`hashes/files.json` has the digests of every file. `hashes/<task>-<split>.txt` has a line of hashes for each row of a
sample, in the order of the file. `src.glue_data.lists` makes both.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from src.glue_data.rows import RowHash
from src.system.errors import UserError
from src.system.files import new_file, read_json

LISTS = Path(__file__).parent / "hashes"
FILES = "files.json"
CHAOSNLI = "chaosnli"


@dataclass(frozen=True)
class StudyFile:
    """The digests of `<task>/<split>.jsonl.gz` as the studies read it.

    Attributes:
        sha256: the digest of the lines, which studies read. Gzip's bytes depend on the version of zlib.
        normal_sha256: the digest of the rows in normal form; see `normal_digest`.
        gzip_sha256: the digest of the compressed file.
        gzip_name: the name in gzip's header, or empty.
        sample: the file with the hashes of the rows, if the file has only some rows of the official split.
    """

    task: str
    split: str
    rows: int
    sha256: str
    normal_sha256: str
    gzip_sha256: str
    gzip_name: str
    sample: Path | None

    @property
    def name(self) -> str:
        """Its path in the folder."""
        return f"{self.task}/{self.split}.jsonl.gz"

    def wanted(self) -> list[RowHash]:
        """The hashes of a sample's rows, in its order."""
        assert self.sample is not None
        return [RowHash(*line.split()) for line in self.sample.read_text(encoding="utf-8").splitlines()]


def study_files(lists: Path = LISTS) -> dict[str, list[StudyFile]]:
    """The files of each task, from a folder of digests and lists.

    Raises:
        UserError: files.json is missing or damaged.
    """
    found: dict[str, list[StudyFile]] = {}
    for name, facts in read_json(lists / FILES).items():
        task, split = name.split("/")
        sample = lists / f"{task}-{split}.txt"
        found.setdefault(task, []).append(StudyFile(task, split, **facts, sample=sample if sample.exists() else None))
    return found


def files_of(tasks: list[str], lists: Path) -> list[StudyFile]:
    """The files of the named GLUE tasks, or of all if none is named.

    Raises:
        UserError: a task is unknown.
    """
    known = study_files(lists)
    known.pop(CHAOSNLI, None)
    if unknown := [task for task in tasks if task not in known]:
        problem = "is not one of the GLUE tasks that the studies read"
        raise UserError(f"task {unknown[0]}", problem, f"allowed: {', '.join(known)}")
    return [file for task in tasks or known for file in known[task]]


def names_in(lists: Path) -> list[str]:
    """The files that files.json describes, as <task>/<split>; none if there is no files.json."""
    return list(read_json(lists / FILES)) if (lists / FILES).exists() else []


def write_facts(lists: Path, facts: dict[str, dict]) -> None:
    """Write files.json: a line per StudyFile with its fields, by <task>/<split>."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(own)}" for name, own in facts.items())
    with new_file(lists / FILES) as draft:
        draft.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
