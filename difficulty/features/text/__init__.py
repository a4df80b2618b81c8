"""Features of text alone: statistics, literals, numbers, words, and a fixed embedding."""
