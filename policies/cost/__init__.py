"""What was used, what it costs in which unit, and the budget that limits it."""
