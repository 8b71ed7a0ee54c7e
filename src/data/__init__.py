"""Preparation of splits from raw archives, hub data sets and local files."""
