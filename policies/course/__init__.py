"""What may be done for one prompt: steps, how an answer is selected, and when to stop."""
