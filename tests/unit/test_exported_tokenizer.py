"""`tokenizer.json` of an exported model cuts texts at the side at which training does."""

import pytest
from tokenizers import Tokenizer

from src.export.exporting import write_tokenizer
from tests.conftest import word_tokenizer


@pytest.mark.parametrize(
    ("side", "read"), [("right", ["the", "film", "was", "good"]), ("left", ["the", "plot", "was", "bad"])]
)
def test_it_cuts_a_long_text_where_training_does(side, read, tmp_path):
    tokenizer = word_tokenizer("[PAD]")
    tokenizer.truncation_side = side
    text = "the film was good and the plot was bad"
    ids = tokenizer(text, truncation=True, max_length=6)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", *read, "[SEP]"]
    write_tokenizer(tokenizer, 6, tmp_path)
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text).ids == ids
