"""Compare strategies across difficulty: where search and revision pay."""
