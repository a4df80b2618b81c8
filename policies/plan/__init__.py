"""The plan for a prompt: its allocation, what is expected of it, and its wire format."""
