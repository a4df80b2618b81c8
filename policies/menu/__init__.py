"""The allocations on offer, and what each is worth and uses on the reference prompts."""
