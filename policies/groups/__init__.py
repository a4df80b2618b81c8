"""Groups of rollouts for reinforcement learning: what they are believed to hold, and how many to draw."""
