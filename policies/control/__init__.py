"""Hold a budget over a stream while plans are carried out."""
