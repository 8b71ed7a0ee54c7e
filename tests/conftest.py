"""Small real things for the tests: models with random weights, and labelled texts that can be learnt."""

import gc
import json
import random
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

from src.params import ModelSource, Params
from tests.support.fault_table import FaultTable, keep_names
from tests.support.model_table import ModelTable
from tests.support.processes_of_tests import MARKER, no_processes
from tests.support.warm_python import TOOLS, warm_python

REPOSITORY = Path(__file__).parent.parent
MARKERS_OF_FOLDERS = {"faults": "fault", "pipeline": MARKER, "studies": "study"}
LONGEST = ("test_pipeline.py", "test_hub.py", "test_pool.py", "test_processes.py")
GOOD, BAD = ["good", "great", "fine", "lovely"], ["bad", "awful", "poor", "dire"]
NEUTRAL = ["film", "plot", "scene", "story", "actor", "music", "light", "sound", "the", "a", "was", "and"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, help="write what the fault tests saw to this Markdown file")
    parser.addoption("--model-table", type=Path, help="write which kinds of models serve to this Markdown file")


def pytest_configure(config: pytest.Config) -> None:
    _heed_signals()
    if path := config.getoption("--fault-table"):
        config.pluginmanager.register(FaultTable(path))
    if path := config.getoption("--model-table"):
        config.pluginmanager.register(ModelTable(path))


def _heed_signals() -> None:
    """Heed the signals that tests send: `nohup` and a shell's `&` have processes ignore them."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests, and run the longest files first, so that no worker ends with one of them alone."""
    for item in items:
        if marker := MARKERS_OF_FOLDERS.get(item.path.relative_to(REPOSITORY / "tests").parts[0]):
            item.add_marker(marker)
    keep_names(config, items)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """Freeze what has been imported: each training collects garbage twice, and need not look through it."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test of `make test-fast` starts no process."""
    if any(item.get_closest_marker(name) for name in (MARKER, "slow", "study", "fault")):
        return (yield)
    with no_processes(item.nodeid):
        return (yield)


@pytest.fixture
def record_fault(record_property) -> Callable[[str, str, str], None]:
    """Put a row of the table of faults down: its kind, what was done, and what came of it."""

    def put(kind: str, fault: str, outcome: str) -> None:
        for name, value in (("kind", kind), ("fault", fault), ("outcome", outcome)):
            record_property(name, value)

    return put


@pytest.fixture
def params() -> Params:
    """params.yaml as committed."""
    return Params.model_validate(params_content())


def params_content() -> dict:
    """The content of params.yaml as committed, for tests to change."""
    return yaml.safe_load((REPOSITORY / "params.yaml").read_text())


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> ModelSource:
    """A BERT of four layers and width 32."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64, pad_token_id=0
    )
    return _saved(BertForSequenceClassification(config), word_tokenizer("[PAD]"), tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_distilbert(tmp_path_factory) -> ModelSource:
    """An encoder without a pooler."""
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=64, dim=32, n_layers=2, n_heads=2, hidden_dim=64, pad_token_id=0)
    model = DistilBertForSequenceClassification(config)
    return _saved(model, word_tokenizer("[PAD]"), tmp_path_factory.mktemp("distilbert"))


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory) -> ModelSource:
    """A GPT-2 of two layers, whose tokenizer has no pad token."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=3, eos_token_id=3)
    return _saved(GPT2ForSequenceClassification(config), word_tokenizer(None), tmp_path_factory.mktemp("decoder"))


@pytest.fixture
def one_thread() -> None:
    """Compute in one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def warm_folder() -> Generator[Path]:
    """A folder with the `python` of `tests/support/warm_python.py`."""
    with warm_python() as folder:
        yield folder


@pytest.fixture(scope="module")
def warm_stages(warm_folder) -> Generator[None]:
    """Start the stages of `tests.support.repository.run` without the seconds of imports."""
    TOOLS.insert(0, warm_folder)
    yield
    TOOLS.remove(warm_folder)


@pytest.fixture
def tiny_data(tmp_path) -> Path:
    """A folder of train.jsonl and validation.jsonl whose label follows from the words."""
    folder = tmp_path / "tiny-data"
    folder.mkdir()
    for split, rows, seed in (("train", 160, 0), ("validation", 60, 1)):
        lines = [json.dumps(row) for row in labelled_texts(rows, seed)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def call(tmp_path, monkeypatch) -> Callable:
    """Call a stage in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def stage(module, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        module.main()

    return stage


def labelled_texts(rows: int, seed: int, noise: float = 0.0) -> list[dict]:
    """Sentences with one or two words of feeling among neutral ones; a share `noise` of them has the wrong one."""
    generator = random.Random(seed)
    found = []
    for _ in range(rows):
        label = generator.randrange(2)
        words = generator.choices(NEUTRAL, k=generator.randrange(3, 12))
        shown = label ^ (generator.random() < noise)
        words += generator.choices((BAD, GOOD)[shown], k=generator.randrange(1, 3))
        generator.shuffle(words)
        found.append({"sentence": " ".join(words), "label": label})
    return found


def word_tokenizer(pad: str | None) -> PreTrainedTokenizerFast:
    """A token a word; with a template as BERT's, or where it has no pad token as GPT-2's, which adds nothing."""
    words = SPECIAL + GOOD + BAD + NEUTRAL
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if pad is None:
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token=pad,
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _saved(model, tokenizer, folder: Path) -> ModelSource:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelSource(source="folder", name=str(folder))


def flipped(content: bytes, place: int) -> bytes:
    """The same bytes with one bit the other way round."""
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
