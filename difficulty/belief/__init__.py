"""What we think of a prompt before sampling: pass rates, and weights over reference prompts."""
