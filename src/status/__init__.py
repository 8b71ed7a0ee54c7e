"""Where the runs of a study stand, from what is on disk."""
