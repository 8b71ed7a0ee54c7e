"""A task's records, which git keeps: collect, read and score them. No arms are compared here."""
