"""The policy that reacts to what has been drawn: its table, routing, cold start and wire format."""
