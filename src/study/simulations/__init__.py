"""How far intervals and verdicts can be trusted: simulated studies, clusters of rows. No stage needs this room."""
