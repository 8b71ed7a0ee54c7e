"""Comparisons, claims and verdicts from scored runs. Nothing is drawn here."""
