"""The Unicode form in which names and texts are compared."""

import unicodedata


def canonical(text: str) -> str:
    """The text in form NFC, in which an é is one character and not an e with an accent behind it."""
    return unicodedata.normalize("NFC", text)
