"""From beliefs to plans: prices, one-shot plans, plans that react, and the reason in words."""
