"""The pipeline itself: real `dvc` commands in a temporary clone, on a small real model and small real data."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard

import stages.distill
import stages.finetune
import stages.prepare
import stages.student
from tests.conftest import params_content
from tests.support.repository import clone, digests, run, stages_run, tiny_study

RUNS = 10  # of each of two tasks two teachers, the plain student and two distilled ones; one seed


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, tiny_encoder, warm_stages) -> Path:
    """A clone in which `dvc repro` has run to its end, and its results are committed."""
    folder = tmp_path_factory.mktemp("pipeline")
    clone(folder)
    content = tiny_study(tiny_encoder, tmp_path_factory.mktemp("source"))
    content["runtime"]["keep_weights"] = True
    content["tasks"].append("other")
    content["task_settings"]["other"] = content["task_settings"]["tiny"] | {"metrics": ["accuracy"]}
    del content["finetune"]["arms"]["cmi_max"]
    content["evaluate"]["claims"] = {key: params_content()["evaluate"]["claims"][key] for key in ("alone", "raters")}
    content["evaluate"]["claims"]["raters"]["family"] = "cmi_min"
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "results")
    return folder


def test_every_run_leaves_its_record(pipeline):
    runs = sorted(record.parent for record in (pipeline / "runs").glob("*/*/*/*/record.json"))
    assert len(runs) == RUNS
    for folder in runs:
        history, logits = pd.read_csv(folder / "history.csv"), pd.read_parquet(folder / "logits.parquet")
        assert len(history) == 2
        assert {"loss_total", "loss_kd", "selection_accuracy", "train_feature_ncmi", "selection_class_cmi"} <= set(
            history
        )
        teaches = {"train": 144} if folder.parent.parent.name == "teacher" else {}
        assert logits["split"].value_counts().to_dict() == teaches | {"test": 60, "selection": 16}
        assert (folder / "model" / "model.safetensors").is_file()
        timing = pipeline / "timing" / folder.relative_to(pipeline / "runs").with_suffix(".json")
        assert json.loads(timing.read_text())["train_seconds"] > 0


def test_kept_weights_load_as_a_hugging_face_model(pipeline):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(pipeline / "runs/tiny/student/kd-ce/0/model")
    assert model.config.num_hidden_layers == 2
    assert model.config.id2label == {0: "negative", 1: "positive"}


def test_a_kept_model_says_in_a_pipeline_what_its_run_said_and_has_a_card(pipeline):
    from transformers import pipeline as transformers_pipeline

    folder = pipeline / "runs/tiny/student/kd-ce/0"
    rows = pd.read_parquet(pipeline / "data/tiny/splits/test.parquet")
    logits = pd.read_parquet(folder / "logits.parquet").query("split == 'test'")
    assert logits["row_id"].tolist() == rows["row_id"].tolist()
    said = transformers_pipeline("text-classification", str(folder / "model"))(rows["text_a"].tolist())
    expected = logits[["logit_0", "logit_1"]].to_numpy().argmax(axis=1)
    assert [line["label"] for line in said] == [("negative", "positive")[label] for label in expected]

    card = ModelCard.load(folder / "model/README.md")
    history = pd.read_csv(folder / "history.csv").set_index("epoch")
    best = history.loc[json.loads((folder / "record.json").read_text())["best_epoch"]]
    scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert scores["accuracy"] == pytest.approx(best["selection_accuracy"])
    assert card.data.pipeline_tag == "text-classification"
    assert "layers 0, 2" in card.text
    assert str(pipeline) not in card.content


def test_the_headline_and_the_tables_say_what_the_predictions_say(pipeline):
    headline = json.loads((pipeline / "metrics/tiny/summary.json").read_text())["tiny"]
    assert list(headline) == ["ce", "cmi_min", "plain", "kd-ce", "kd-cmi_min"]
    records = pipeline / "metrics/tiny/records/tiny"
    labels = pd.read_parquet(records / "test_labels.parquet")
    predictions = pd.read_parquet(records / "predictions.parquet")
    for arm in ("ce", "kd-cmi_min"):
        rows = predictions.query("arm == @arm and split == 'test'")
        assert rows["row_id"].tolist() == labels["row_id"].tolist()
        right = rows[["logit_0", "logit_1"]].to_numpy().argmax(axis=1) == labels["label"].to_numpy()
        assert headline[arm] == pytest.approx(right.mean(), abs=5e-5)
    arms = arms_table(pipeline).query("task == 'tiny'").set_index(["role", "arm", "metric"])["mean"]
    compared = pd.read_csv(pipeline / "metrics/tiny/tables/comparisons.csv")
    compared = compared.query("task == 'tiny' and role == 'teacher' and arm == 'cmi_min' and metric == 'nll'").iloc[0]
    expected = arms["teacher", "cmi_min", "nll"] - arms["teacher", "ce", "nll"]
    assert compared["difference"] == pytest.approx(expected)
    assert compared[["low", "high", "p"]].isna().all()  # one seed: no interval


def test_claims_of_one_seed_cannot_be_told(pipeline):
    content = json.loads((pipeline / "metrics/tiny/claims.json").read_text())
    claims = {claim["name"]: claim for claim in content["claims"]}
    assert content["alone_verdict"] == claims["alone"]["verdict"] == "cannot be told at this size"
    assert claims["alone"]["reason"] == "fewer than 5 seeds give no interval"
    assert "raters" not in claims  # nobody voted
    headline = json.loads((pipeline / "metrics/tiny/summary.json").read_text())
    gains = [scores["cmi_min"] - scores["ce"] for scores in headline.values()]
    assert content["alone"] == pytest.approx(sum(gains) / 2, abs=6e-4)


def arms_table(folder: Path) -> pd.DataFrame:
    """The table of the arms' means."""
    return pd.read_csv(folder / "metrics/tiny/tables/arms.csv")


def test_a_second_repro_has_nothing_to_do(pipeline):
    assert stages_run(run(pipeline, "dvc", "repro")) == ["settings"]
    assert run(pipeline, "git", "status", "--porcelain") == ""


def test_files_of_editors_and_systems_make_nothing_stale(pipeline):
    folders = ("src/core", "src/data", "data/tiny/splits", "runs/tiny/teacher/ce/0", "metrics/tiny/records/tiny")
    names = (".DS_Store", "._training.py", "Thumbs.db", "desktop.ini", "training.py~", ".training.py.swp")
    of_code = ("#training.py#", "notes.txt", "TAGS", ".ipynb_checkpoints/training-checkpoint.py")
    litter = [pipeline / folder / name for folder in folders for name in names]
    litter += [pipeline / "src/core" / name for name in of_code]
    for path in litter:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0litter")
    (pipeline / "src/core/.#metrics.py").symlink_to("user@host.1234")  # as Emacs marks what it edits
    told = run(pipeline, "dvc", "repro")
    run(pipeline, "git", "clean", "--quiet", "--force", "-d", "src", "metrics")
    for path in litter:
        path.unlink(missing_ok=True)
    assert stages_run(told) == ["settings"]


def test_a_clone_with_other_line_ends_has_the_same_bytes(pipeline, tmp_path):
    """As Git for Windows clones unless told otherwise."""
    run(tmp_path, "git", "clone", "--quiet", "-c", "core.autocrlf=true", str(pipeline), "windows")
    run(tmp_path, "git", "clone", "--quiet", str(pipeline), "unix")
    assert digests(tmp_path / "windows", "src", "stages", "metrics") == digests(
        tmp_path / "unix", "src", "stages", "metrics"
    )


@pytest.mark.parametrize(
    ("stage", "setting", "stale"),
    [
        ("prepare@tiny", "splits.seed=1", "finetune@tiny-ce-0"),
        pytest.param(
            "finetune@tiny-ce-0",
            "+task_settings.tiny.arms.teacher.ce.cmi_weight=0.1",
            "distill@tiny-kd-ce-0",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_new_data_are_noticed_where_they_are_not_checked_out(pipeline, tmp_path, stage, setting, stale):
    """DVC knows of whole outputs there, and takes files within one for unchanged (treeverse/dvc#11099).

    The commit has a run of one stage with other settings, and of nothing that depends on it.
    """
    check = ("dvc", "repro", "--allow-missing", "--dry")
    run(tmp_path, "git", "clone", "--quiet", str(pipeline), "same")
    assert stages_run(run(tmp_path / "same", *check)) == ["settings"]
    run(pipeline, "dvc", "exp", "run", "--single-item", "-S", setting, "settings", stage)
    run(pipeline, "git", "commit", "--quiet", "--all", "--message", setting)
    run(tmp_path, "git", "clone", "--quiet", str(pipeline), "other")
    told = run(tmp_path / "other", *check, ok=False)
    run(pipeline, "git", "reset", "--quiet", "--hard", "HEAD~1")
    run(pipeline, "dvc", "checkout", "--quiet", "--force")
    assert f"failed to reproduce '{stale}'" in told


def test_tables_and_figures_follow_from_what_git_keeps(pipeline, tmp_path):
    """In a fresh clone, without runs or data, evaluation and plots give the committed bytes."""
    run(tmp_path, "git", "clone", "--quiet", str(pipeline), "fresh")
    fresh = tmp_path / "fresh"
    before = digests(fresh, "metrics", "plots")
    run(fresh, "dvc", "repro", "--single-item", "--force", "evaluate", "plot")
    assert digests(fresh, "metrics", "plots") == before
    assert len(before) > 30


@pytest.mark.slow
def test_a_run_side_by_side_from_nothing_gives_the_same_bytes(pipeline, tmp_path):
    """Without data, runs or cache: the same as `dvc repro` made, dvc.lock included."""
    run(tmp_path, "git", "clone", "--quiet", str(pipeline), "fresh")
    fresh = tmp_path / "fresh"
    shutil.rmtree(fresh / "metrics")
    told = run(fresh, "python", "-m", "stages.repro", "--jobs", "2")
    assert "2 of 2 units, 0 running, 0 failed" in told
    assert digests(fresh, "metrics", "plots", "runs") == digests(pipeline, "metrics", "plots", "runs")
    assert run(fresh, "git", "status", "--porcelain") == ""
    assert "up to date" in run(fresh, "python", "-m", "stages.repro", "--jobs", "2")


def experiment(
    folder: Path, name: str, *settings: str, up_to: tuple[str, ...] = ()
) -> tuple[list[str], set[tuple[str, str]]]:
    """Run an experiment and put the workspace back; the stages that ran, and the tasks and arms of other results."""
    overrides = [part for setting in settings for part in ("-S", setting)]
    before = arms_table(folder)
    told = run(folder, "dvc", "exp", "run", "--name", name, *overrides, *up_to)
    after = arms_table(folder)
    run(folder, "git", "checkout", "--quiet", "--", ".")
    run(folder, "dvc", "checkout", "--quiet", "--force")
    old, new = (set(table.drop(columns=["std", "low", "high"]).itertuples(index=False)) for table in (before, after))
    return stages_run(told), {(row.task, row.arm) for row in new - old}


def test_one_weight_on_one_task_touches_one_arm_and_its_students_there(pipeline):
    told, changed = experiment(pipeline, "weaker", "+task_settings.tiny.arms.teacher.cmi_min.cmi_weight=-9.0")
    runs = ["finetune@tiny-cmi_min-0", "distill@tiny-kd-cmi_min-0"]
    assert told == ["settings", *runs, "collect@tiny", "evaluate", "plot"]
    assert changed == {("tiny", "cmi_min"), ("tiny", "kd-cmi_min")}


def test_what_a_user_sees_of_an_experiment_fits_the_terminal(pipeline):
    """Of the experiment above. DVC puts hashes of dependencies last, and leaves out those that find no room."""
    shown = run(pipeline, "env", "COLUMNS=160", "dvc", "exp", "show", "--only-changed", "--no-pager").splitlines()
    assert max(map(len, shown)) <= 160
    assert "task_settings.tiny.arms.teacher.cmi_min.cmi_weight" in shown[1]
    assert len(run(pipeline, "dvc", "metrics", "diff", "main", "weaker").splitlines()) <= 20


@pytest.mark.slow
def test_a_learning_rate_of_one_task_touches_its_students_only(pipeline):
    told, changed = experiment(pipeline, "slow", "+task_settings.other.training.student.lr=1e-5")
    runs = ["student@other-plain-0", "distill@other-kd-ce-0", "distill@other-kd-cmi_min-0"]
    assert told == ["settings", *runs, "collect@other", "evaluate", "plot"]
    assert changed == {("other", "plain"), ("other", "kd-ce"), ("other", "kd-cmi_min")}


def test_some_tasks_run_more_seeds(pipeline):
    params = (pipeline / "params.yaml").read_text()
    more = params.replace("more_seeds:\n  tasks: []\n  seeds: []\n", "more_seeds: {tasks: [other], seeds: [3]}\n")
    (pipeline / "params.yaml").write_text(more)
    listed = run(pipeline, "dvc", "stage", "list", "--name-only").split()
    told = run(pipeline, "dvc", "repro", "student_more@other-plain-3")
    (pipeline / "params.yaml").write_text(params)
    run(pipeline, "git", "checkout", "--quiet", "dvc.lock")
    teachers = ["finetune_more@other-ce-3", "finetune_more@other-cmi_min-3"]
    students = ["student_more@other-plain-3", "distill_more@other-kd-ce-3", "distill_more@other-kd-cmi_min-3"]
    assert [name for name in listed if name.endswith("-3")] == teachers + students
    assert stages_run(told) == ["settings", students[0]]
    shutil.rmtree(pipeline / "runs/other/student/plain/3")


def test_arms_and_controls_can_be_added_from_the_command_line(pipeline):
    """In the notation that DVC writes as `2e-05`, which PyYAML reads as text; and students of changed teachers."""
    settings = ("+finetune.arms.strong.training.lr=2e-5", "distill.matched=[{teacher: ce, like: cmi_min}]")
    settings += ("distill.calibrated=[ce]", "distill.mapped=[{name: up, teacher: ce, cmi_weight: -3e-1}]")
    told, changed = experiment(pipeline, "strong", *settings, "tasks=[tiny]", up_to=("evaluate",))
    runs = ["finetune@tiny-strong-0", "distill@tiny-kd-strong-0", "distill_matched@tiny-kd-pair0-0"]
    runs += ["distill_calibrated@tiny-kd-ce-0", "distill_mapped@tiny-kd-map0-0"]
    assert told == ["settings", *runs, "collect@tiny", "evaluate"]
    students = ("kd-strong", "kd-ce_as_cmi_min", "kd-ce_calibrated", "kd-up")
    assert changed == {("tiny", arm) for arm in ("strong", *students)}
    assert "tiny.kd-strong" in run(pipeline, "dvc", "metrics", "diff", "main", "strong")
    assert "strong" in run(pipeline, "dvc", "exp", "show", "--csv")


def test_a_stage_in_an_interpreter_of_its_own_leaves_the_same_bytes(pipeline):
    """The others of this file run in forks of `tests/support/warm_python.py`."""
    folder = pipeline / "runs/tiny/teacher/ce/0"
    before = digests(folder, ".")
    shutil.rmtree(folder)
    run(pipeline, sys.executable, "-m", "stages.finetune", "--task", "tiny", "--arm", "ce", "--seed", "0")
    assert digests(folder, ".") == before


def test_a_stage_runs_in_two_processes(pipeline):
    launch = ["python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = ["-m", "stages.finetune", "--task", "tiny", "--arm", "cmi_min", "--seed", "8"]
    run(pipeline, *launch, *command)
    folder = pipeline / "runs" / "tiny" / "teacher" / "cmi_min" / "8"
    record = json.loads((folder / "record.json").read_text())
    assert record["environment"]["processes"] == 2
    shutil.rmtree(folder.parent / "8")


def failing(folder: Path, old: str, new: str, *command: str) -> str:
    """The last line of a stage that fails with one change to params.yaml; no run may be left behind."""
    before = digests(folder, "runs")
    params = (folder / "params.yaml").read_text()
    assert old in params
    (folder / "params.yaml").write_text(params.replace(old, new))
    told = run(folder, "python", "-m", *command, "--task", "tiny", "--seed", "9", ok=False)
    (folder / "params.yaml").write_text(params)
    assert digests(folder, "runs") == before
    return told.splitlines()[-1]


def test_a_loss_that_is_not_finite_is_one_line_and_leaves_nothing(pipeline):
    told = failing(pipeline, "lr: 0.003", "lr: 1.0e+30", "stages.finetune", "--arm", "cmi_min")
    assert told.startswith("error: tiny/teacher/cmi_min/9: the loss is not finite by step ")
    assert "lower lr, cmi_weight or separation_weight" in told


def test_a_setting_that_would_have_no_effect_is_refused(pipeline):
    teacher = pipeline / "runs/tiny/teacher/ce"
    shutil.copytree(teacher / "0", teacher / "9")
    command = ("stages.distill", "--teacher", "ce", "--recipe", "kd")
    told = failing(pipeline, "kd_loss: kl", "kd_loss: logit_std", *command)
    shutil.rmtree(teacher / "9")
    assert told.startswith("error: tiny/student/kd-ce/9: kd_loss logit_std has no gradient with two classes")


@pytest.mark.parametrize(
    ("stage", "arguments", "expected"),
    [
        (stages.prepare, "--task nosuch", "error: params.yaml: task_settings: has no entry 'nosuch'; allowed: "),
        (
            stages.finetune,
            "--task tiny --arm nosuch --seed 0",
            "error: params.yaml: finetune.arms: has no entry 'nosuch'; allowed: ce, cmi_min",
        ),
        (
            stages.distill,
            "--task tiny --teacher ce --recipe nosuch --seed 0",
            "error: params.yaml: distill.recipes: has no entry 'nosuch'; allowed: kd",
        ),
        (
            stages.distill,
            "--task tiny --teacher nosuch --recipe kd --seed 0",
            "error: params.yaml: finetune.arms, or distill for one changed after training: has no entry 'nosuch'",
        ),
        (stages.student, "--task nosuch --arm plain --seed 0", "error: data/nosuch: has not been prepared"),
    ],
)
def test_a_stage_called_wrongly_says_so_in_one_line(pipeline, monkeypatch, capsys, stage, arguments, expected):
    monkeypatch.chdir(pipeline)
    monkeypatch.setattr("sys.argv", ["stage", *arguments.split()])
    with pytest.raises(SystemExit, match="1"):
        stage.main()
    told = capsys.readouterr().err
    assert told.startswith(expected)
    assert told.count("\n") == 1
