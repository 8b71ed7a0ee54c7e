"""Readers of raw data: the hub, local files, archives. Splits are cut in `src.data`, and not here."""
