"""What a log says that stopping early, pooling and choosing the model would have saved, without training."""
