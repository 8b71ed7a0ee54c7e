"""Readers of raw data from the hub, local files and archives. `src.data` cuts the splits."""
