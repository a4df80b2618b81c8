"""Logs of other tools, read into a sample log."""
