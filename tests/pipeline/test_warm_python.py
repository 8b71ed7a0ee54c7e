"""The `python` of `warm_stages` ends, prints and is killed as an interpreter is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

TOLD = """
import os, sys
print(os.getcwd(), os.environ["TOLD"], sys.argv[1:], sys.stdin.read(), __name__)
print("to stderr", file=sys.stderr)
"""
WAYS = {
    "the end": ("", 0),
    "a status": ("sys.exit(3)", 3),
    "a word": ("sys.exit('a word')", 1),
    "an exception": ("raise ValueError('wrong')", 1),
    "a signal": ("sys.stdout.flush(); sys.stderr.flush(); os.kill(os.getpid(), 9)", -9),
}


def told(python: Path | str, folder: Path) -> tuple[int, str, str]:
    """Exit status, stdout, and stderr less the lines of a traceback."""
    command = [python, "-m", "told", "one", "two words"]
    environment = os.environ | {"TOLD": "Größe"}
    ended = subprocess.run(command, cwd=folder, env=environment, input="typed", capture_output=True, text=True)
    errors = [line for line in ended.stderr.splitlines() if not line.startswith((" ", "Traceback"))]
    return ended.returncode, ended.stdout, "\n".join(errors)


@pytest.mark.parametrize("way", WAYS)
def test_a_module_ends_and_prints_as_in_an_interpreter(warm_folder, tmp_path, way):
    end, status = WAYS[way]
    (tmp_path / "told.py").write_text(TOLD + end)
    found = told(warm_folder / "python", tmp_path)
    assert found == told(sys.executable, tmp_path)
    assert found[0] == status
    assert found[1].startswith(f"{tmp_path} Größe ['one', 'two words'] typed __main__")


def test_a_command_that_is_killed_takes_its_fork_along(warm_folder, tmp_path):
    (tmp_path / "sleeper.py").write_text(
        "import os, time; open('number', 'w').write(f'{os.getpid()}.'); time.sleep(60)"
    )
    with subprocess.Popen([warm_folder / "python", "-m", "sleeper"], cwd=tmp_path) as process:
        number = tmp_path / "number"
        while not (number.exists() and number.read_text().endswith(".")):
            assert process.poll() is None
            time.sleep(0.05)
        fork = psutil.Process(int(number.read_text()[:-1]))
        process.kill()
    assert fork.pid != process.pid
    fork.wait(timeout=30)


def test_what_is_no_module_is_run_by_an_interpreter(warm_folder):
    command = [warm_folder / "python", "-c", "import sys; print('torch' in sys.modules)"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"
