"""Intervals and p-values for tables of seeds and test rows. No file, no task and no claim is known here."""
