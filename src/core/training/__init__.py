"""From a prepared task to a finished run: loading, the loop, checkpoints. What a loss is belongs to `method`."""
