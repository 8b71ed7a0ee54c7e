"""What continuous integration keeps and checks."""

import re

from src.pinned import MODEL_ARCHIVES
from tests.conftest import REPOSITORY


def test_the_key_of_the_cached_archives_follows_from_the_file_that_pins_them():
    """With the key of another file a changed pin would never be saved, and fetched in each run."""
    workflow = (REPOSITORY / ".github/workflows/ci.yml").read_text()
    [keyed] = re.findall(r"key: archives-\$\{\{ hashFiles\('(.+)'\) \}\}", workflow)
    text = (REPOSITORY / keyed).read_text()
    assert all(archive.sha256 in text for archive, _ in MODEL_ARCHIVES.values())
