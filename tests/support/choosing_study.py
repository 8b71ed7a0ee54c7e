"""The arms, families and claims of a study that chooses between settings."""

TEACHERS = {
    "ce": {},
    "ce_slow": {"training": {"lr": 2e-5}},
    "min_1": {"cmi_weight": 1.0},
    "min_5": {"cmi_weight": 5.0, "training": {"epochs": 4}},
    "max_1": {"cmi_weight": -1.0},
    "max_2": {"cmi_weight": -2.0},
}
FAMILIES = {
    "teacher": {"plain": ["ce", "ce_slow"], "cmi_min": ["min_1", "min_5"]},
    "student": {"kd-cmi_max": ["kd-max_1", "kd-max_2"]},
}
CLAIMS = {
    "alone": {
        "statement": "x", "role": "teacher", "family": "cmi_min", "against": "plain", "direction": "higher",
        "worthwhile": 0.01,
    },
    "kd": {
        "statement": "y", "role": "student", "family": "kd-max_1", "against": "kd-ce", "direction": "higher",
        "worthwhile": 0.01, "reference": {"family": "kd-ce", "against": "plain"},
    },
}  # fmt: skip
