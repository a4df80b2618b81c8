"""Hold a budget while plans are carried out: over a batch, or over a stream."""
