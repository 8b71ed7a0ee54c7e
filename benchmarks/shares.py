"""The share of each kind of operation in the time of all operators of an epoch.

torch's profiler measures it. The time that Python spends between operators does not count. The profiler adds a little
time to every operation, so the shares of small operations are too large.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial

from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from benchmarks.figures import Figure
from benchmarks.ours import ready, timed_steps, warmed_up
from benchmarks.processes import contenders
from benchmarks.scratch import Setting, teacher_of
from benchmarks.variants import MINILM, MINILM_BF16, MPNET_BF16, Variant, in_turn
from src.data.prepared import PreparedTask
from src.params import RunSettings

OWN = (MINILM, MINILM_BF16, MPNET_BF16)
REST = "everything else"
KINDS = {
    "mm": "products of linear layers",
    "addmm": "products of linear layers",
    "bmm": "products of attention",
    "gelu": "GELU",
    "gelu_backward": "GELU",
    "native_layer_norm": "layer norm",
    "native_layer_norm_backward": "layer norm",
    "_softmax": "softmax of attention, masks",
    "_softmax_backward_data": "softmax of attention, masks",
    "masked_fill_": "softmax of attention, masks",
    "random_": "random numbers of dropout",
    "_fused_adamw_": "AdamW, norm of the gradient",
    "linalg_vector_norm": "AdamW, norm of the gradient",
    "copy_": "copies and zeros",
    "fill_": "copies and zeros",
}


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on vader-movie, in each variant."""
    return in_turn("share of a step", setting.variants(OWN), partial(shares_of, setting))


def shares_of(setting: Setting, variant: Variant) -> list[Figure]:
    """The shares of one variant, the largest first."""
    task, settings = teacher_of(setting, variant)
    with contenders({"shares": (shares, task, settings)}) as measures:
        found: Counter[str] = measures["shares"]()
    rest = found.pop(REST)
    return [
        Figure(f"share of a step{variant}: {kind}", 100 * share, "%")
        for kind, share in [*found.most_common(), (REST, rest)]
    ]


def shares(task: PreparedTask, settings: RunSettings) -> Callable[[], Counter[str]]:
    """A function that measures each kind's share of the steps of an epoch, after an epoch to warm up."""
    run = warmed_up(ready(task, settings))

    def measure() -> Counter[str]:
        timed_steps(run, len(task.train))
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            timed_steps(run, len(task.train))
        spent: Counter[str] = Counter()
        for event in profiled.events():
            spent[kind_of(event)] += event.self_cpu_time_total
        return Counter({kind: microseconds / spent.total() for kind, microseconds in spent.items()})

    return measure


def kind_of(event: FunctionEvent) -> str:
    """The kind of an operation. A copy that `_to_copy` makes is a cast, for example of a weight to bf16."""
    name = event.name.removeprefix("aten::")
    if name == "copy_" and event.cpu_parent is not None and event.cpu_parent.name == "aten::_to_copy":
        return "casts between types"
    return KINDS.get(name, REST)
