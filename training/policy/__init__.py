"""Learn the one policy: which courses may be believed for everybody, and which by the text of a prompt."""
