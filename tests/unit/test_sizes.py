"""A room, a test file and a page are short enough to be read as a whole."""

from collections.abc import Iterable
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.support.pages import WRITTEN


def longer(paths: Iterable[Path], most: int) -> dict[str, int]:
    """The files with more lines, and how many these have."""
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in paths}
    return {name: length for name, length in sorted(lengths.items()) if length > most}


def test_rooms_have_at_most_twelve_modules():
    files = [path for path in (REPOSITORY / "src").rglob("*.py") if path.name != "__init__.py"]
    rooms = [str(path.parent.relative_to(REPOSITORY)) for path in files]
    assert {room: rooms.count(room) for room in rooms if rooms.count(room) > 12} == {}


def test_test_files_have_at_most_500_lines():
    assert longer((REPOSITORY / "tests").rglob("*.py"), 500) == {}


def test_pages_have_at_most_200_lines():
    assert longer(WRITTEN, 200) == {}


def test_the_readme_has_at_most_120_lines():
    assert longer([REPOSITORY / "README.md"], 120) == {}
