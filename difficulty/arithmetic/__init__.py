"""Names of array types; sums and products that are equal to the last bit for equal prompts in any batch."""
