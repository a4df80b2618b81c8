"""The sample log: recorded samples of prompts by generators, built, merged, pooled and split."""
