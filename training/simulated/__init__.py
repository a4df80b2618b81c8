"""Simulated logs whose truth is known."""
