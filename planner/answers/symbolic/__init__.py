"""Symbolic mathematics: read an answer whole or not at all, and prove equality in a process of its own."""
