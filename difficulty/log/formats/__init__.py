"""How a sample log is written and read: JSON Lines, Parquet, and what both share."""
