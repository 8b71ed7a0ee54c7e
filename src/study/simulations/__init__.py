"""Tests of intervals and verdicts: simulated studies, clusters of rows. No stage of dvc.yaml needs this room."""
