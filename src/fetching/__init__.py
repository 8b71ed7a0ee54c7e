"""Files from PyPI and the Hugging Face hub, checked by their hashes. This room knows nothing of their content."""
