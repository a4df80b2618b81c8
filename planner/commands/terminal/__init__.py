"""What commands share at the terminal: options, progress, errors."""
