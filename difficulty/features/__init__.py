"""Prompts as numbers: measured on their text, or taken from a model that reads them."""
