"""Where runs compute, and what is refused on a Mac's GPU; no test needs one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from src.core.machine.device import check_device, device_type, precision_of, uses_cuda_graphs
from src.core.machine.environment import environment, start
from src.params import Runtime
from src.runs import RunName
from src.system.errors import UserError

RUN = RunName("vader-movie", "teacher", "cmi_min", 0)


def found(monkeypatch, kind: str | None) -> None:
    """Let torch find this device, or none but the CPU."""
    device = None if kind is None else torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: device)


@pytest.mark.parametrize(
    ("here", "asked", "kind"),
    [
        (None, "auto", "cpu"),
        (None, "cpu", "cpu"),
        ("cuda", "auto", "cuda"),
        ("cuda", "cpu", "cpu"),
        ("xpu", "auto", "xpu"),
        ("mps", "auto", "cpu"),
        ("mps", "mps", "mps"),
    ],
)
def test_the_device_is_the_one_that_is_named_and_a_macs_gpu_by_name_only(monkeypatch, here, asked, kind):
    found(monkeypatch, here)
    assert device_type(Runtime(device=asked)) == kind


def test_on_a_macs_gpu_auto_and_tf32_are_fp32_and_there_are_no_graphs(monkeypatch):
    found(monkeypatch, "mps")
    assert {precision_of(Runtime(device="mps", precision=name)) for name in ("auto", "tf32", "fp32")} == {"fp32"}
    assert not uses_cuda_graphs(Runtime(device="mps", cuda_graphs=True))


@pytest.mark.parametrize(("here", "asked"), [(None, "cuda"), (None, "mps"), ("cuda", "mps"), ("mps", "cuda")])
def test_a_device_that_is_not_here_is_refused(monkeypatch, here, asked):
    found(monkeypatch, here)
    with pytest.raises(UserError) as caught:
        start(Runtime(device=asked))
    said = f"is {asked}, but torch finds no such device here; set it to auto or cpu"
    assert str(caught.value) == f"params.yaml: runtime.device: {said}"


@pytest.mark.parametrize(
    ("runtime", "objective", "processes", "said"),
    [
        ({}, {}, 2, "2 processes are untested on a Mac's GPU; start one process, or set runtime.device to cpu"),
        ({"precision": "bf16"}, {}, 1, "runtime.precision bf16 is untested on a Mac's GPU; set it to fp32, or set"),
        ({}, {"tau": 11.0}, 1, "tau 11 needs float64, which a Mac's GPU lacks; set it to 10 or less, or set"),
        ({}, {"taus": [1.0, 20.0]}, 1, "taus 20 needs float64"),
        ({}, {"temperature": 100.0}, 1, "temperature 100 needs float64"),
    ],
)
def test_what_a_macs_gpu_cannot_do_is_refused_in_one_line(monkeypatch, params, runtime, objective, processes, said):
    asked = params.teacher("vader-movie", "cmi_min")
    asked = replace(
        asked,
        objective=asked.objective.model_copy(update=objective),
        runtime=Runtime(device="mps", precision=runtime.get("precision", "fp32")),
    )
    found(monkeypatch, "mps")
    with pytest.raises(UserError) as caught:
        check_device(RUN, asked, processes)
    assert str(caught.value).startswith(f"{RUN}: {said}")
    found(monkeypatch, "cpu")
    check_device(RUN, replace(asked, runtime=Runtime(device="cpu")), processes)


def test_the_cpu_by_name_is_recorded_as_the_cpu_that_auto_finds(monkeypatch):
    found(monkeypatch, None)
    records = [environment(start(Runtime(device=name, threads=1)), Runtime(device=name)) for name in ("auto", "cpu")]
    assert records[0] == records[1]
    assert np.char.startswith(records[0]["device"], "cpu ")
    torch.use_deterministic_algorithms(False)


def test_records_of_the_default_device_are_as_before_the_key():
    assert "device" not in Runtime().model_dump()
    assert Runtime(device="cpu").model_dump()["device"] == "cpu"
