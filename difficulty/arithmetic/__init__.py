"""Sums and products that are equal to the last bit for equal prompts, whatever the size of the batch."""
