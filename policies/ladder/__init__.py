"""Rungs of samples, what has been seen on them, and the rules that stop."""
