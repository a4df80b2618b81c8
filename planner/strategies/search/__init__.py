"""Strategies that search over steps of an answer."""
