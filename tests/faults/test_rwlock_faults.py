"""What an rwlock can hold that DVC does not read: `stages.check` takes it away where no DVC is at work."""

from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.rwlock import rwlock

from src.repository.dvc_state import mend

KIND = "DVC's files"
CONTENTS = {
    "an empty list": b"[]",
    "null": b"null",
    "a list of locks": b'{"write": []}',
    "a process without a command": b'{"read": {"/a": [{"pid": 1}]}}',
    "an unknown key": b'{"append": {}}',
    "bytes that are no UTF-8": b"\xff\xfe\xff",
}


def reads(state: Path) -> None:
    """Take and release a lock as DVC does for each stage."""
    with rwlock(str(state), localfs, "dvc repro", [], [str(state / "output")], False):
        pass


@pytest.mark.parametrize("what", CONTENTS)
def test_an_rwlock_that_dvc_cannot_read(tmp_path, capsys, record_fault, what):
    state = tmp_path / ".dvc/tmp"
    state.mkdir(parents=True)
    path = state / "rwlock"
    path.write_bytes(CONTENTS[what])
    with pytest.raises(Exception, match=r"RWLock-file|decode|must be|has no|attribute"):
        reads(state)
    path.write_bytes(CONTENTS[what])
    mend(tmp_path)
    line = f"warning: removed {path}, which a killed DVC had left\n"
    assert capsys.readouterr().err == line
    reads(state)
    mend(tmp_path)
    assert capsys.readouterr().err == ""
    record_fault(KIND, f"`.dvc/tmp/rwlock` holds {what}", "`make repro` removes it, says so and goes on")
