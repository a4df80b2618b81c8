"""Whether to give an answer at all: how sure it is, at which risk, and what errors and silence cost."""
