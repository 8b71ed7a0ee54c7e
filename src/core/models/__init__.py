"""Pre-trained classifiers: where they come from, what is read of them, and how texts become tokens. No training."""

from src.core.deferred import defer

defer("transformers.models")  # before anything here imports transformers
