"""Speed measured side by side on one machine: every figure is a ratio or a share with its goal beside it.

python -m benchmarks                              the whole table, twenty to forty minutes on two cores
python -m benchmarks --only finetuning cmi        some of its rows
python -m benchmarks --pipeline                   also the wall time of the default study, minutes more
"""

from src.systems import check_system

check_system()
