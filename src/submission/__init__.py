"""Predictions of GLUE's official test splits, in the form that its server accepts."""
