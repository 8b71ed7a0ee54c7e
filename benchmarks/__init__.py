"""Speed, measured side by side on one machine. Figures are ratios and shares, with their goals beside them.

python -m benchmarks                              the whole table, about an hour on two cores
python -m benchmarks --only finetuning cmi        some rows of the table
python -m benchmarks --only shares --model MPNet --precision bf16    a row with another model and precision
python -m benchmarks --pipeline                   also the wall time of whole studies, half an hour more
"""

from src.system.supported import check_system

check_system()
