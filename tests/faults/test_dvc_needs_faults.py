"""Places in which DVC cannot work, and users that it cannot work for: one line in place of its traceback."""

import os
from pathlib import Path

import pytest

import stages.repro
from src.repository.dvc_state import mend
from src.system.errors import UserError

KIND = "what DVC needs"
NOBODY = 54321  # a user without an entry in passwd
FILLED = "which DVC reads as a template; use a path without {, } and %("


@pytest.mark.parametrize(
    ("name", "part"), [("%(x)s", "%("), ("${x}", "{"), ("{x", "{"), ("x}", "}")], ids=lambda name: name
)
def test_a_path_in_which_dvc_would_fill_something_in(tmp_path, monkeypatch, capsys, record_fault, name, part):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["repro"])
    with pytest.raises(SystemExit):
        stages.repro.main()
    assert capsys.readouterr().err == f"error: {folder}: contains {part}, {FILLED}\n"
    assert not list(folder.iterdir())
    record_fault(KIND, f"a repository below a folder `{name}`", f"`` error: /{name}: contains {part}, {FILLED} ``")


@pytest.fixture
def nobody(monkeypatch):
    """A process of a user without a name, a home, or variables that say them."""
    if os.getuid() != 0:
        pytest.skip("to be another user needs root")
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CONFIG_HOME", "DVC_GLOBAL_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    os.setresuid(NOBODY, NOBODY, 0)
    yield
    os.setresuid(0, 0, 0)


WITHOUT = {
    "USER": f"is not set, and user {NOBODY} has no name here, which DVC needs for its folders; set USER to a name",
    "HOME": "is not set, and this user has no home folder, in which DVC looks for its settings; set HOME, "
    "XDG_CONFIG_HOME or DVC_GLOBAL_CONFIG_DIR to a folder",
}


@pytest.mark.parametrize("missing", WITHOUT)
def test_a_user_without_an_entry_in_passwd(nobody, monkeypatch, record_fault, missing):
    other = {"USER": "HOME", "HOME": "USER"}[missing]
    monkeypatch.setenv(other, "/tmp")
    with pytest.raises(UserError) as caught:
        mend(Path("/"))
    assert str(caught.value) == f"{missing}: {WITHOUT[missing]}"
    monkeypatch.setenv(missing, "/tmp")
    mend(Path("/"))
    record_fault(KIND, f"no entry in passwd, and {missing} is not set", f"`` error: {caught.value} ``")


def test_settings_that_dvc_cannot_read(tmp_path, monkeypatch, capsys, record_fault):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config.local").write_text("[core\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["repro"])
    with pytest.raises(SystemExit):
        stages.repro.main()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: DVC: config file error: Invalid line ('[core')")
    record_fault(KIND, "a broken .dvc/config.local", f"`` {line} ``")
