"""params.yaml as typed, validated values.

A stage calls `load_params` once; everything behind it works with these plain values. Unknown keys, wrong
types and values out of range end in a `UserError` that names the key.

The file is read as DVC reads it (YAML 1.2, by the same parser), and no value is made to fit: DVC puts seeds, tasks and
arms into commands and paths as they stand there, so that "7" or 7.0 for a seed would be one run to it and another here.
"""

from src.params.changed import Calibrated, Changed, Mapped, Matched
from src.params.contrasts import Contrast
from src.params.evaluation import Claim, Curve, EvaluateSection, Families, Reference
from src.params.models import CheckpointSettings, Lora, ModelSource, Runtime
from src.params.reading import check_params, load_params, read_yaml
from src.params.runs import Objective, RunSettings, Training
from src.params.study import PARAMS_FILE, MoreSeeds, Params, entry
from src.params.tasks import AlsoTest, Glue, MaxRows, TaskSettings, check_metrics
from src.params.types import HOTTEST, CentreMap, Centroid, FeatureMap, KdLoss, Metric, Precision, Role

__all__ = [
    "HOTTEST",
    "PARAMS_FILE",
    "AlsoTest",
    "Calibrated",
    "CentreMap",
    "Centroid",
    "Changed",
    "CheckpointSettings",
    "Claim",
    "Contrast",
    "Curve",
    "EvaluateSection",
    "Families",
    "FeatureMap",
    "Glue",
    "KdLoss",
    "Lora",
    "Mapped",
    "Matched",
    "MaxRows",
    "Metric",
    "ModelSource",
    "MoreSeeds",
    "Objective",
    "Params",
    "Precision",
    "Reference",
    "Role",
    "RunSettings",
    "Runtime",
    "TaskSettings",
    "Training",
    "check_metrics",
    "check_params",
    "entry",
    "load_params",
    "read_yaml",
]
