"""What reacting would have done on recorded samples, under balanced orders."""
