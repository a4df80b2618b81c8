"""What the text of a prompt, or a model that reads it, says as numbers."""
