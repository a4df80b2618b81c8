"""Strategies that draw whole answers and select among them."""
