"""A run's curves while it trains, for TensorBoard. Nothing here changes a result."""
