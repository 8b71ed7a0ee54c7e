"""Systems and Pythons on which the project cannot run: one line at the start of every command."""

import subprocess
import sys

from tests.conftest import REPOSITORY

COMMANDS = sorted(
    {f"stages.{path.stem}" for path in (REPOSITORY / "stages").glob("[a-z]*.py")}
    | {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for folder in ("src", "benchmarks")
        for path in (REPOSITORY / folder).rglob("*.py")
        if path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text()
    }
)
# What Python has on Windows: another name of the system, no such signals, no such modules.
WINDOWS = """
import os, runpy, signal, sys
os.name, sys.platform = "nt", "win32"
del signal.SIGHUP, signal.SIGPIPE, signal.SIGKILL, os.fork, os.killpg, os.setsid, os.geteuid, os.getuid
sys.modules.update(dict.fromkeys(["fcntl", "resource", "pwd", "grp", "termios", "posix"]))
"""
OLD = "import runpy, sys; sys.version_info = (3, 10, 14)\n"


def ends(setting: str, command: str) -> tuple[int, str, str]:
    """How a command ends in such a Python: its status and what it prints."""
    code = f"{setting}\nrunpy.run_module({command!r}, run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_every_command_ends_in_one_line_on_windows(record_fault):
    line = "error: this system: lacks POSIX signals and file locks; use Linux, macOS, or WSL on Windows\n"
    assert {"stages.check", "stages.repro", "benchmarks.__main__", "src.params.reference"} <= set(COMMANDS)
    for command in COMMANDS:
        assert ends(WINDOWS, command) == (1, "", line), command
    record_fault("the environment", f"Windows without WSL, each of {len(COMMANDS)} commands", f"`` {line.strip()} ``")


def test_an_old_python_is_refused_in_one_line(record_fault):
    line = "error: Python 3.10: is too old; use Python 3.11 or newer\n"
    assert ends(OLD, "stages.check") == (1, "", line)
    record_fault("the environment", "Python 3.10 without make", f"`` {line.strip()} ``")
