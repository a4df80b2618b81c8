"""Groups of rollouts compared: ways to allocate them, on planted truths and on recorded logs."""
