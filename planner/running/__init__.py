"""Carry plans out: the run, its parts under one budget, and its summary."""
