"""Extract, canonicalise and compare answers: one layer for votes, labels and metrics."""
