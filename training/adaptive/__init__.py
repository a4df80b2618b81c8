"""Fit the policy that reacts: ladders proposed, rules fitted and tuned, routing chosen."""
