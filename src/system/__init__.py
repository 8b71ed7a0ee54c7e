"""Files, errors, signals and locks, which every command needs. This room imports nothing from the other rooms."""
