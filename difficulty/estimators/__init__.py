"""Exact and Monte-Carlo estimates of what a number of recorded samples would have delivered."""
