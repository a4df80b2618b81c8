"""Sums and products that give equal prompts equal bits, however many there are at once."""
