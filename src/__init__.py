"""The torch core, the data readers and the study's statistics; `stages/` strings them together."""
