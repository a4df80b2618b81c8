"""Rehearse a run on recorded samples, and forecast what a live one will come to."""
