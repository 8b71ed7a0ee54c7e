"""The Unicode form in which names and texts are compared."""

import unicodedata


def canonical(text: str) -> str:
    """The form NFC of a text: an é may be one character, or an e and an accent."""
    return unicodedata.normalize("NFC", text)
