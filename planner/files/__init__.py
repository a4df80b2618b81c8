"""Files of prompts, generators and settings, files that grow by whole lines, and models of transformers."""
