"""Files from PyPI and the Hugging Face hub, checked by their SHA-256. What they contain is not known here."""
