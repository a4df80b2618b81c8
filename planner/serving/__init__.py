"""Serve plans: one handler, as a proxy in front of servers and as the transport of a wrapped client."""
