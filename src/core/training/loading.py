"""Loads a run from a prepared task and settings: tokens, model and teacher's logits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from src.core.machine.device import device_type, precision_of, rounds_on_cpu, uses_cuda_graphs
from src.core.machine.randomness import stream_seed
from src.core.method.batch import NO_LABEL
from src.core.method.terms import passes_in
from src.core.models.adapters import Saver
from src.core.models.classifier import Classifier, load_classifier
from src.core.models.compatibility import check_length, check_vocabulary, positions_of
from src.core.models.encoding import EncodedSplit, encode
from src.core.models.last_attention import NoAttention, RelationTeacher
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.cuda_graphs import MULTIPLE, replay_training
from src.core.speed.dropout import check_dropout, use_cpu_dropout
from src.core.speed.first_token import compute_first_token_only
from src.core.speed.half_precision import round_passes, round_products
from src.core.speed.head_alone import check_head_alone
from src.core.speed.recompute import recompute_activations
from src.core.speed.vocabulary import CompactVocabulary
from src.core.training.batches import LabelledTokens, TrainingData
from src.data.prepared import PreparedTask
from src.kept_models import KeptModel
from src.params import Precision, RunSettings
from src.runs import RunName
from src.system.errors import UserError

LoadTeacher = Callable[[], KeptModel]
COMPARED = "relation_weight compares the last layers of student and teacher"
SAME_KIND = "set relation_weight to 0, or use a teacher and a student of one kind, such as layers of one encoder"


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to train: its model and tokenizer, its tokenised splits, and the data for `train`.

    Tokens have the numbers of `vocabulary`.
    """

    model: Classifier
    tokenizer: PreTrainedTokenizerBase
    vocabulary: CompactVocabulary
    tokens: dict[str, EncodedSplit]
    data: TrainingData
    relations: RelationTeacher | None = None

    def savers(self) -> list[Saver]:
        """Functions that write the model, with its whole vocabulary, and its tokenizer to a folder."""
        self.vocabulary.restore()
        return [*self.model.savers, self.tokenizer.save_pretrained]

    def configuration(self) -> str:
        """The model's configuration, such as its dropout, without a path of this machine."""
        return self.model.model.config.to_json_string()

    def tensors(self) -> Iterator[Tensor]:
        """The tensors that determine the run: weights, tokens, labels, teacher's part."""
        yield from self.model.state_dict().values()
        if self.relations is not None:
            yield from self.relations.teacher.state_dict().values()
        for split in (self.data.train, self.data.selection):
            yield from (split.tokens.ids, split.tokens.lengths, split.labels)
            yield from (extra for extra in (split.tokens.segments, split.teacher_logits) if extra is not None)


def prepare_run(
    run: RunName,
    task: PreparedTask,
    settings: RunSettings,
    teacher_logits: np.ndarray | None,
    load_teacher: LoadTeacher | None = None,
) -> PreparedRun:
    """Tokenise the task and load the model that the run starts from.

    Args:
        load_teacher: loads the teacher's model. The run does so if a term compares its last layer with the student's.

    Raises:
        UserError: the model cannot be used (see `src.core.models.classifier`), or its last layer cannot be compared.
    """
    source, max_length, precision = settings.model, settings.training.max_length, precision_of(settings.runtime)
    tokenizer = load_tokenizer(source, pairs=len(task.train.texts[0]) == 2)
    learnt_from = ["train", "transfer"] if settings.objective.transfer else ["train"]
    splits = sorted({*learnt_from, *splits_to_predict(run, task)})
    tokens = {split: encode(task.splits[split].texts, tokenizer, max_length) for split in splits}
    longest = max(int(split.lengths.max()) for split in tokens.values())
    longest += -longest % MULTIPLE if uses_cuda_graphs(settings.runtime) else 0  # as graphs pad it
    model = load_classifier(source, task.label_names, tokenizer.pad_token_id, stream_seed(run.seed, "head"), longest)
    # Kept with the tokenizer, so that it truncates as in training, and never to more tokens than the model takes.
    tokenizer.model_max_length = min(max_length, positions_of(model.model) or max_length)
    check_vocabulary(source, model.model, tokens.values())
    if settings.runtime.recompute:
        recompute_activations(source, model.model, emulated=rounds_on_cpu(settings.runtime))
    teacher = load_teacher() if load_teacher and settings.objective.relation_weight else None
    if teacher is None:  # the relation loss needs all tokens of the student's last layer
        compute_first_token_only(model.model)
    if device_type(settings.runtime) == "cpu":
        use_cpu_dropout(model.model)
    if uses_cuda_graphs(settings.runtime):
        replay_training(model, tokenizer.pad_token_id)
    round_products(source, model, precision, tokenizer.pad_token_id)
    if settings.training.head_epochs:
        check_head_alone(source, model, precision, tokenizer.pad_token_id)
    of_lora = source.lora is not None and source.lora.dropout > 0  # it changes no output before the first step
    if passes_in(settings.objective) > 1 and not of_lora:
        check_dropout(source, model, tokenizer.pad_token_id)
    if teacher is not None:
        texts = {split: task.splits[split].texts for split in learnt_from}
        tokens |= {split: tokens_for_both(run, teacher, tokens[split], own, max_length) for split, own in texts.items()}
    vocabulary = CompactVocabulary(model.model, tokens.values(), tokenizer.pad_token_id)
    relations = None if teacher is None else relation_teacher(run, model, teacher, vocabulary, precision)
    tokens = {split: vocabulary.numbered(encoded) for split, encoded in tokens.items()}
    transfer = tokens["transfer"] if settings.objective.transfer else None
    learnt = learnt_rows(len(task.train), settings.training.train_share, run.seed)
    data = training_data(task, tokens, transfer, learnt, settings.runtime.diagnostic_rows, teacher_logits)
    return PreparedRun(model, tokenizer, vocabulary, tokens, data, relations)


def tokens_for_both(
    run: RunName, kept: KeptModel, own: EncodedSplit, texts: list[tuple[str, ...]], max_length: int
) -> EncodedSplit:
    """A student's tokens of some texts, with the segments that its kept teacher reads if the student has none.

    Raises:
        UserError: the teacher reads texts as other tokens, has no embedding for one, or takes fewer tokens.
    """
    other = encode(texts, kept.tokenizer, max_length)
    both = own.segments is not None and other.segments is not None
    pairs = [(own.ids, other.ids), (own.lengths, other.lengths), *([(own.segments, other.segments)] if both else [])]
    if not all(torch.equal(*pair) for pair in pairs):
        raise UserError(run, f"{COMPARED}, but they read a text as different tokens", SAME_KIND)
    check_vocabulary(kept.source, kept.model.model, [other])
    check_length(kept.source, kept.model.model, int(other.lengths.max()))
    return own if own.segments is not None else replace(own, segments=other.segments)


def relation_teacher(
    run: RunName, student: Classifier, kept: KeptModel, vocabulary: CompactVocabulary, precision: Precision
) -> RelationTeacher:
    """A kept teacher that passes its student's batches.

    Raises:
        UserError: their last layers cannot be compared.
    """
    vocabulary.cut(kept.model.model)
    round_passes(kept.model, precision)
    try:
        return RelationTeacher(student, kept.model)
    except NoAttention as error:
        raise UserError(run, f"{COMPARED}, but {error}", SAME_KIND) from None


def splits_to_predict(run: RunName, task: PreparedTask) -> list[str]:
    """The splits that a run predicts. A teacher also predicts the splits that its students learn from."""
    splits = ["selection", "test"]
    if "also_test" in task.unlabelled:
        splits.append("also_test")
    if run.role == "teacher":
        splits = ["train", *(["transfer"] if len(task.transfer) else []), *splits]
    return splits


def learnt_rows(rows: int, share: float, seed: int) -> Tensor:
    """The numbers of the train rows that a run learns from, the same for all arms of a seed.

    A larger share includes the rows of a smaller one.
    """
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(stream_seed(seed, "rows")))
    return order[: round(share * rows)].sort().values


def training_data(
    task: PreparedTask,
    tokens: dict[str, EncodedSplit],
    transfer: EncodedSplit | None,
    learnt: Tensor,
    diagnostic_rows: int,
    teacher_logits: np.ndarray | None,
) -> TrainingData:
    """The tokenised task in the form of the training loop. Transfer rows, without labels, follow the train rows.

    `learnt` has the numbers of the train rows to learn from. Prepared splits are shuffled, so the first rows are a
    random sample.
    """
    labels, train_tokens = torch.tensor(task.train.labels), tokens["train"]
    labelled = LabelledTokens(train_tokens, labels).rows(learnt)
    taken = torch.cat([learnt, torch.arange(len(labels), len(labels) + (0 if transfer is None else len(transfer)))])
    if transfer is not None:
        labels = torch.cat([labels, torch.full((len(transfer),), NO_LABEL)])
        train_tokens = train_tokens.joined(transfer)
    teacher = None if teacher_logits is None else torch.tensor(teacher_logits)
    return TrainingData(
        train=LabelledTokens(train_tokens, labels, teacher).rows(taken),
        selection=LabelledTokens(tokens["selection"], torch.tensor(task.selection.labels)),
        diagnostic=labelled.first(diagnostic_rows),
        num_classes=len(task.label_names),
        metrics=task.metrics,
    )
