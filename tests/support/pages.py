"""The commands that pages print."""

import re

from tests.conftest import REPOSITORY


def commands(page: str) -> list[tuple[str, str]]:
    """Each command of a page's console blocks, and the line below it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", (REPOSITORY / page).read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            command, *printed = part.splitlines()
            found.append((command, next(iter(printed), "")))
    return found
