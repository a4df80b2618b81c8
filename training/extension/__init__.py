"""A new generator added to a bundle from few labelled prompts, through what it shares with the others."""
