"""What may be done for one prompt: how much of which strategy of which generator."""
