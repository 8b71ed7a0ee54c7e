"""Pre-trained classifiers: their files, their heads' inputs, their layers, and their tokenizers. No training."""

from src.core.deferred import defer

defer("transformers.models")  # before anything here imports transformers
