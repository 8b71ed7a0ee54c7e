"""The repository in which a command runs: git, DVC and the resolved settings. Nothing is trained or judged here."""
