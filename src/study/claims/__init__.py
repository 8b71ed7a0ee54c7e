"""From scored runs to comparisons, claims and verdicts. Nothing is drawn here."""
