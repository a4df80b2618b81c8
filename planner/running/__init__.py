"""Carry plans out: the run, its climbs, and its summary."""
