"""Broken params.yaml: its values, and its text."""

import re
from collections.abc import Callable
from pathlib import Path

import stages.check
from tests.conftest import REPOSITORY
from tests.faults.hostile.cases import Case, table, write_params

MAPPED = {"name": "up", "teacher": "ce", "cmi_weight": -0.3}

# Params: (what is broken, (dotted key, its value), expected)
PARAMS = {
    "unknown key": (
        "a key that does not exist",
        ("finetune.training.learning_rate", 1e-5),
        "finetune.training.learning_rate: unknown key; allowed: ",
    ),
    "misspelt key of an arm": (
        "a misspelt key of an arm",
        ("finetune.arms.ce.cmi_wieght", 1.0),
        "finetune.arms.ce.cmi_wieght: unknown key; allowed: cmi_weight",
    ),
    "misspelt split": (
        "a misspelt split in max_rows",
        ("task_settings.vader-movie.max_rows.trian", 3),
        "task_settings.vader-movie.max_rows.trian: unknown key; allowed: train",
    ),
    "true as a share": (
        "true where a share belongs",
        ("checkpoints.largest_share", True),
        "checkpoints.largest_share: not acceptable (got True); it should be a number, not true or false",
    ),
    "negative learning rate": (
        "a negative learning rate",
        ("finetune.training.lr", -1),
        "finetune.training.lr: not acceptable (got -1); it should be greater than 0",
    ),
    "infinite learning rate": (
        "an infinite learning rate",
        ("finetune.training.lr", float("inf")),
        "lr: not acceptable (got inf)",
    ),
    "true for a learning rate": (
        "true where a number belongs",
        ("student.training.lr", True),
        "student.training.lr: not acceptable (got True); it should be a number, not true or false",
    ),
    "true for epochs": (
        "true where a whole number belongs",
        ("finetune.training.epochs", True),
        "finetune.training.epochs: not acceptable (got True); it should be a number, not true or false",
    ),
    "true for a seed": ("true among the seeds", ("seeds", [0, True]), "seeds.1: not acceptable (got True)"),
    "true for a layer": ("true among the layers", ("models.student.layers", [True]), "models.student.layers.0: not"),
    "word for a number": (
        "a word where a number belongs",
        ("finetune.training.epochs", "three"),
        "finetune.training.epochs: not acceptable (got 'three'); it should be a valid integer",
    ),
    "fraction of an epoch": ("a fraction of an epoch", ("finetune.training.epochs", 1.5), "epochs: not acceptable"),
    "batches of nothing": (
        "batches of no rows",
        ("finetune.training.batch_size", 0),
        "it should be greater than or equal to 1",
    ),
    "huge epochs": (
        "more epochs than a machine can count",
        ("finetune.training.epochs", 10**30),
        "epochs: not acceptable (got 1000000000000000000000000000000); it should be less than or equal to 2147483647",
    ),
    "huge seed": (
        "a seed of thirty digits",
        ("seeds", [10**30]),
        "seeds.0: not acceptable (got 1000000000000000000000000000000); it should be less than or equal to 4294967295",
    ),
    "negative seed": ("a seed below 0", ("seeds", [-1]), "seeds.0: not acceptable (got -1)"),
    "negative split seed": ("a seed of the cuts below 0", ("splits.seed", -1), "splits.seed: not acceptable (got -1)"),
    "a million threads": (
        "a million threads",
        ("runtime.threads", 10**6),
        "runtime.threads: not acceptable (got 1000000); it should be less than or equal to 1024",
    ),
    "endless warmup": ("a warmup of all steps", ("finetune.training.warmup", 1.0), "it should be less than 1"),
    "two tokens": (
        "no room for a word among the tokens",
        ("finetune.training.max_length", 2),
        "it should be greater than or equal to 4",
    ),
    "unknown space": (
        "an unknown space",
        ("finetune.arms.cmi_min.space", "logits"),
        "finetune.arms.cmi_min.space: not acceptable (got 'logits'); it should be 'feature' or 'class'",
    ),
    "unknown centroid": (
        "an unknown centroid",
        ("finetune.arms.cmi_min.centroid", "mean"),
        "finetune.arms.cmi_min.centroid: not acceptable (got 'mean'); it should be 'batch', ",
    ),
    "weight that is no number": (
        "NaN for a weight",
        ("finetune.arms.cmi_min.cmi_weight", float("nan")),
        "cmi_weight: not acceptable (got nan); it should be a finite number",
    ),
    "dash in an arm": (
        "a dash in the name of an arm",
        ("finetune.arms.cmi-strong", {}),
        "finetune.arms.cmi-strong: not acceptable (got 'cmi-strong'); it should match pattern",
    ),
    "path for an arm": (
        "a path as the name of an arm",
        ("finetune.arms", {"ce": {}, "../../escape": {}}),
        "finetune.arms.../../escape: not acceptable",
    ),
    "long arm": (
        "the name of an arm longer than any file name",
        ("finetune.arms", {"ce": {}, "a" * 300: {}}),
        "it should have at most 50 characters",
    ),
    "number for an arm": (
        "a number as the name of an arm",
        ("finetune.arms", {"ce": {}, 1: {}}),
        "finetune.arms.1: not acceptable (got 1); it should be a valid string",
    ),
    "no arms": ("no arms at all", ("finetune.arms", {}), "finetune.arms: not acceptable"),
    "tau of 0": ("a temperature of 0", ("objective.tau", 0), "objective.tau: not acceptable (got 0)"),
    "boiling tau": (
        "a temperature at which nothing is left of the divergence",
        ("objective.tau", 1e6),
        "objective.tau: not acceptable (got 1000000.0); it should be less than or equal to 100000",
    ),
    "boiling recipe": (
        "the same for a recipe",
        ("distill.recipes.kd.temperature", 1e6),
        "distill.recipes.kd.temperature: not acceptable (got 1000000.0); it should be less than or equal to 100000",
    ),
    "momentum of 1": ("a momentum of 1", ("objective.momentum", 1.0), "objective.momentum: not acceptable"),
    "smoothing beside mse": (
        "label smoothing beside a loss that has none",
        ("finetune.arms.cmi_min", {"label_loss": "mse", "label_smoothing": 0.1}),
        "finetune.arms.cmi_min: label_smoothing needs label_loss ce",
    ),
    "patience beside the last epoch": (
        "patience, where the last epoch is kept whatever its score",
        ("finetune.arms.cmi_max", {"training": {"keep_epoch": "last", "patience": 2}}),
        "finetune.arms.cmi_max: keep_epoch last needs patience null",
    ),
    "transfer without rows": (
        "transfer rows for a recipe, and none in the task",
        ("distill.recipes.kd.transfer", True),
        "distill.recipes.kd: transfer is true, but task_settings.vader-movie.max_rows.transfer is 0; set that",
    ),
    "a loss without labels": (
        "a loss without labels, and no epochs that train the head",
        ("finetune.arms.cmi_min.label_weight", 0.0),
        "finetune.arms.cmi_min: the loss does not train the head (label_weight is 0, or contrastive_weight is 1); set "
        "training.head_epochs to 1 or",
    ),
    "no ratio below 0": (
        "a weight of NCMI's loss below 0, which would have no least value",
        ("finetune.arms.cmi_min.ncmi_weight", -1.0),
        "finetune.arms.cmi_min.ncmi_weight: not acceptable (got -1.0); it should be greater than or equal to 0",
    ),
    "one of several temperatures is 0": (
        "a temperature of 0 among several",
        ("objective.taus", [0, 1]),
        "objective.taus.0: not acceptable (got 0); it should be greater than 0",
    ),
    "a temperature twice": (
        "a temperature named twice",
        ("finetune.arms.cmi_min.taus", [1.0, 1]),
        "finetune.arms.cmi_min: name each temperature once",
    ),
    "alpha over 1": (
        "a teacher that weighs more than all",
        ("distill.recipes.kd.alpha", 1.5),
        "distill.recipes.kd.alpha: not acceptable (got 1.5); it should be less than or equal to 1",
    ),
    "no temperature": (
        "a recipe without a temperature",
        ("distill.recipes.kd.temperature", None),
        "distill.recipes.kd.temperature: not acceptable (got None); it should be a valid number",
    ),
    "matched with itself": (
        "a teacher matched with itself",
        ("distill.matched", [{"teacher": "ce", "like": "ce"}]),
        "teacher and like should be two arms",
    ),
    "matched to nobody": (
        "a teacher matched with an arm that does not exist",
        ("distill.matched", [{"teacher": "ce", "like": "nosuch"}]),
        "finetune.arms (for distill.matched): has no entry 'nosuch'; allowed: ce, cmi_min, cmi_max",
    ),
    "matched twice": (
        "two teachers matched twice",
        ("distill.matched", [{"teacher": "ce", "like": "cmi_max"}] * 2),
        "distill.matched: holds a value twice; name each value once",
    ),
    "calibrated nobody": (
        "a calibrated teacher that is no arm",
        ("distill.calibrated", ["ce", "plain"]),
        "finetune.arms (for distill.calibrated): has no entry 'plain'; allowed: ce, cmi_min, cmi_max",
    ),
    "calibrated twice": (
        "a teacher calibrated twice",
        ("distill.calibrated", ["ce", "ce"]),
        "distill.calibrated: holds a value twice; name each value once",
    ),
    "calibrated like matched": (
        "a pair in the list of calibrated teachers",
        ("distill.calibrated", [{"teacher": "ce"}]),
        "distill.calibrated.0: not acceptable (got {'teacher': 'ce'}); it should be a valid string",
    ),
    "mapped nobody": (
        "a map of the logits of an arm that does not exist",
        ("distill.mapped", [MAPPED | {"teacher": "nosuch"}]),
        "finetune.arms (for distill.mapped): has no entry 'nosuch'; allowed: ce, cmi_min, cmi_max",
    ),
    "mapped without end": (
        "a map with an infinite weight",
        ("distill.mapped", [MAPPED | {"cmi_weight": float("-inf")}]),
        "distill.mapped.0.cmi_weight: not acceptable (got -inf); it should be a finite number",
    ),
    "misspelt map": (
        "a misspelt key of a map",
        ("distill.mapped", [MAPPED | {"weight": 1.0}]),
        "distill.mapped.0.weight: unknown key; allowed: cmi_weight, name, teacher",
    ),
    "mapped like a teacher": (
        "a mapped teacher with the name of a teacher arm",
        ("distill.mapped", [MAPPED | {"name": "cmi_max"}]),
        "finetune.arms, distill: two teachers have the name cmi_max; give one of them another name in",
    ),
    "two maps of one name": (
        "two mapped teachers of one name",
        ("distill.mapped", [MAPPED, MAPPED | {"cmi_weight": 1.0}]),
        "finetune.arms, distill: two teachers have the name up",
    ),
    "unknown pair": (
        "a comparison with an arm that does not exist",
        ("evaluate.pairs", [{"role": "student", "family": "kd-ce", "against": "kd-nosuch"}]),
        "evaluate.pairs: unknown student arm or family 'kd-nosuch'; allowed: plain, kd-ce, kd-cmi_min, kd-cmi_max",
    ),
    "two students of one name": (
        "a teacher arm whose student is called as that of a matched pair",
        [("finetune.arms.ce_as_cmi_max", {}), ("distill.matched", [{"teacher": "ce", "like": "cmi_max"}])],
        "finetune.arms, distill: two teachers have the name ce_as_cmi_max",
    ),
    "pair with itself": (
        "an arm compared with itself",
        ("evaluate.pairs", [{"role": "teacher", "family": "ce", "against": "ce"}]),
        "evaluate.pairs.0: not acceptable",
    ),
    "unknown baseline": (
        "a baseline that is no teacher",
        ("evaluate.baseline", "plain"),
        "evaluate.baseline: unknown arm 'plain'; allowed: ce",
    ),
    "confidence in percent": ("a confidence in percent", ("evaluate.confidence", 95), "it should be less than 1"),
    "bins without end": (
        "two million bins of confidence",
        ("evaluate.ece_bins", 2_000_000),
        "evaluate.ece_bins: not acceptable (got 2000000); it should be less than or equal to 10000",
    ),
    "hub without revision": (
        "a hub model without a revision",
        ("models.teacher.source", "hub"),
        "models.teacher: not acceptable",
    ),
    "hub at a branch": (
        "a hub model at a branch, which can move",
        ("models.teacher", {"source": "hub", "name": "a/b", "revision": "main"}),
        "models.teacher.revision: not acceptable (got 'main'); it should be a full commit hash of 40",
    ),
    "hub at a short hash": (
        "a hub model at a shortened commit",
        ("models.teacher", {"source": "hub", "name": "a/b", "revision": "86b5e09"}),
        "it should be a full commit hash of 40 hexadecimal digits",
    ),
    "glue at a tag": ("GLUE at a tag, which can move", ("glue.revision", "v1.0"), "glue.revision: not acceptable"),
    "an update of no rank": (
        "LoRA of rank 0",
        ("models.teacher.lora", {"rank": 0, "alpha": 16}),
        "models.teacher.lora.rank: not acceptable (got 0); it should be greater than or equal to 1",
    ),
    "an update without a scale": (
        "LoRA without alpha",
        ("models.teacher.lora", {"rank": 8}),
        "models.teacher.lora.alpha: missing",
    ),
    "an unknown key of LoRA": (
        "a key of LoRA by another library's name",
        ("models.teacher.lora", {"rank": 8, "alpha": 16, "target_modules": "all"}),
        "models.teacher.lora.target_modules: unknown key; allowed: targets, rank, alpha, dropout",
    ),
    "no targets": (
        "LoRA without a target",
        ("models.teacher.lora", {"rank": 8, "alpha": 16, "targets": []}),
        "models.teacher.lora.targets",
    ),
    "no parts": (
        "a batch in no parts",
        ("finetune.training.accumulate", 0),
        "finetune.training.accumulate: not acceptable (got 0); it should be greater than or equal to 1",
    ),
    "layers in disorder": ("layers in disorder", ("models.student.layers", [4, 2]), "layers must ascend"),
    "maybe": ("maybe where true or false belongs", ("runtime.keep_weights", "maybe"), "it should be a valid boolean"),
    "unknown precision": (
        "an unknown precision",
        ("runtime.precision", "int8"),
        "it should be 'auto', 'fp32', 'tf32', 'bf16' or 'fp16'",
    ),
    "unknown feature map": (
        "an unknown map of features",
        ("objective.feature_map", "sigmoid"),
        "objective.feature_map: not acceptable (got 'sigmoid'); it should be 'softmax', 'unit_softmax' or",
    ),
    "trained in bf16": (
        "trained weights to be held in bf16",
        ("models.teacher.dtype", "bf16"),
        "dtype bf16 needs lora, because a weight that is trained in bf16 loses small updates",
    ),
    "weights in fp16": (
        "weights to be held in fp16",
        ("models.teacher.dtype", "fp16"),
        "models.teacher.dtype: not acceptable (got 'fp16'); it should be 'fp32' or 'bf16'",
    ),
    "all rows for test": ("a test split of all rows", ("splits.test", 1.0), "it should be less than 1"),
    "unknown task": (
        "a task that does not exist",
        ("tasks", ["glue-stsb"]),
        "tasks: unknown task 'glue-stsb'; allowed: ",
    ),
    "task twice": ("a task named twice", ("tasks", ["tiny", "tiny"]), "tasks: holds a value twice"),
    "path for a task": ("a path as a task", ("tasks", ["../../etc"]), "tasks.0: not acceptable (got '../../etc')"),
    "number for seeds": ("a number where a list belongs", ("seeds", 3), "seeds: not acceptable (got 3); it should be"),
    "path for a study": ("a path as the study's name", ("study", "../other"), "it should match pattern"),
    "NUL in a study": (
        "a NUL character in the study's name",
        ("study", "a\0b"),
        r"study: not acceptable (got 'a\x00b')",
    ),
    "no section": ("an empty section", ("finetune", None), "finetune: not acceptable (got None)"),
}


@table(PARAMS)
def test_params(workplace, refused, case):
    write_params(*(case.damage if isinstance(case.damage, list) else [case.damage]))
    refused("params", case, stages.check.main)


def replaced(old: str, new: str) -> Callable[[str], str]:
    """Change the text of params.yaml."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


def with_seeds(written: str) -> Callable[[str], str]:
    """Put something else in the place of the seeds."""
    return lambda text: re.sub(r"seeds:.*\n- 0\n- 1\n", lambda _: f"seeds: {written}\n", text)


def aliases_of_aliases(text: str) -> str:
    """Forty lines that stand for 4^40 values."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 4)}]" for n in range(1, 40)]
    return "\n".join(lines) + "\n" + with_seeds("*a39")(text)


# The text of params.yaml: (what is broken, change of the text, expected)
PARAMS_TEXT = {
    "key twice": (
        "a key given twice",
        replaced("    lr: 1.5e-4", "    lr: 1.5e-4\n    lr: 2.0"),
        'not readable as YAML: found duplicate key "lr" with value "2.0" (original value: "0.00015") (line ',
    ),
    "section twice": (
        "a section given twice",
        lambda text: text + "\nglue: {}\n",
        'found duplicate key "glue"',
    ),
    "missing key": ("a key left out", replaced("    lr: 1.5e-4\n", ""), "finetune.training.lr: missing; add it"),
    "other key": (
        "a misspelt key, and so another that is missing",
        replaced("    lr: 1.5e-4", "    lrr: 1.0e-4"),
        "finetune.training.lrr: unknown key; allowed: lr, ",
    ),
    "open bracket": ("a bracket that stays open", lambda _: "finetune: [", "not readable as YAML: "),
    "tab": (
        "a tab for an indent",
        lambda _: "\tstudy: x",
        "found character that cannot start any token (line 1)",
    ),
    "empty": ("an empty file", lambda _: "", "(top level): not acceptable (got None)"),
    "list": ("a list", lambda _: "- study", "(top level): not acceptable (got ['study'])"),
    "string": ("a mere string", lambda _: "study", "(top level): not acceptable (got 'study')"),
    "two documents": ("two documents in one file", lambda text: text + "\n---\na: 1", "but found another document"),
    "NUL": ("a NUL character", lambda text: text + "\0", "unacceptable character #x0000"),
    "UTF-16": ("UTF-16", lambda text: text.encode("utf-16"), "not readable as YAML: 'utf-8' codec can't decode"),
    "half a surrogate pair": (
        "half of a surrogate pair",
        replaced("study: default", r'study: "\ud800"'),
        "not readable as YAML: found invalid Unicode character escape code (line ",
    ),
    "Python object": (
        "a tag that asks for a command to be run",
        replaced("study: default", "study: !!python/object/apply:os.system ['touch pwned']"),
        "could not determine a constructor for the tag",
    ),
    "alias of itself": (
        "a list that holds itself",
        with_seeds("&a [*a]"),
        "seeds.0: not acceptable (got [[[[",
    ),
    "alias bomb": ("aliases of aliases, 4^40 values in all", aliases_of_aliases, "a0: unknown key"),
    "deep nesting": ("20,000 brackets", lambda _: "a: " + "[" * 20_000, "did not find expected node content"),
    "deep nesting, closed": (
        "20,000 lists in each other",
        lambda _: f"a: {'[' * 20_000}{']' * 20_000}",
        "a: unknown key",
    ),
    "seed as text": ("text for a seed", with_seeds("['7']"), "seeds.0: not acceptable (got '7'); it should be a valid"),
    "seed with a point": ("7.0 for a seed", with_seeds("[7.0]"), "seeds.0: not acceptable (got 7.0); it should be a"),
    "set of seeds": ("a set where a list belongs", with_seeds("!!set {0, 1}"), "seeds: not acceptable (got {0, 1});"),
    "bytes": ("bytes for a name", replaced("baseline: ce", "baseline: !!binary Y2U="), "it should be a valid string"),
    "yes": (
        "yes, which is a word in YAML 1.2, as DVC reads it",
        replaced("keep_weights: false", "keep_weights: yes"),
        "runtime.keep_weights: not acceptable (got 'yes'); it should be a valid boolean",
    ),
    "minutes": ("12:30, which is a word in YAML 1.2", with_seeds("\n- 12:30"), "seeds.0: not acceptable (got '12:30')"),
    "5000 digits": (
        "a number of 5,000 digits",
        with_seeds(f"[{'9' * 5000}]"),
        "Exceeds the limit (4300 digits)",
    ),
    "5000 hex digits": (
        "a hexadecimal number of 5,000 digits",
        with_seeds(f"[0x{'f' * 5000}]"),
        "seeds.0: not acceptable (got a number with too many digits)",
    ),
    "no such day": (
        "a name that YAML takes for a date that does not exist",
        replaced("study: default", "study: 2001-99-99"),
        "not readable as YAML: month must be in 1..12",
    ),
    "number for a key": (
        "a number for a key",
        lambda text: text + "\n1: 2\n",
        "1: not acceptable (got 1); Keys should",
    ),
}


@table(PARAMS_TEXT)
def test_text_of_params(workplace, refused, case):
    text = case.damage((REPOSITORY / "params.yaml").read_text())
    Path("params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused("params", case, stages.check.main)


def test_params_that_are_a_folder(workplace, refused):
    Path("params.yaml").unlink()
    Path("params.yaml").mkdir()
    refused("params", Case("a folder in the file's place", None, "params.yaml: not readable"), stages.check.main)


def test_no_params(workplace, refused):
    Path("params.yaml").unlink()
    refused("params", Case("no file", None, "params.yaml: not found; run from"), stages.check.main)
