"""A learned verifier: P(correct) of a sample from what its log tells, and how it selects."""
