"""Files, errors, signals and locks: every command needs them. This room imports nothing of the project."""
