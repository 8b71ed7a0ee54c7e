"""The torch core, the data readers and the study's statistics; `stages/` strings them together."""

from src.system.supported import check_system

check_system()
