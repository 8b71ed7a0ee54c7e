"""The torch core, the data readers and the study's statistics; `stages/` strings them together."""

from src.systems import check_system

check_system()
