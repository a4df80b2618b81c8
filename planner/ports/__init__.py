"""The ports that plug-ins implement, and the outcome that every run returns."""
