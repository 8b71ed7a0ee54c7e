"""From a prepared task to a finished run: loading, the loop, checkpoints. Losses belong to `method`."""
