"""What every course was worth and used on every recorded prompt: one table, measured once."""
