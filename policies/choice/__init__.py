"""The one policy as it is deployed: which course a prompt takes at a price, and what is said of it."""
