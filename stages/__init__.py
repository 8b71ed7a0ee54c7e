"""One script per DVC stage, called as `python -m stages.NAME` from the repository root."""
