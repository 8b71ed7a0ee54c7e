"""params.yaml as typed, validated values.

A stage calls `load_params` once; the code behind it works with these plain values. An unknown key, a wrong type or a
value out of range raises a `UserError` that names the key.

The file is read as DVC reads it: YAML 1.2, with the same parser. No value is converted to the right type. DVC copies
seeds, tasks and arms from the file into commands and paths, so a seed of "7" or 7.0 would name another run there.
"""

from src.params.changed import Calibrated, Changed, Mapped, Matched
from src.params.contrasts import Contrast
from src.params.evaluation import Claim, Curve, EvaluateSection, Families, Reference
from src.params.models import CheckpointSettings, Lora, ModelSource, Runtime
from src.params.reading import check_params, load_params, read_yaml
from src.params.runs import Objective, Recipe, RunSettings, Training
from src.params.study import PARAMS_FILE, MoreSeeds, Params, entry
from src.params.tasks import AlsoTest, Glue, MaxRows, TaskSettings, check_metrics
from src.params.types import HOTTEST, CentreMap, Centroid, FeatureMap, KdLoss, Metric, Precision, Role
