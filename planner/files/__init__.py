"""Files of prompts, generators and settings, and files that grow by whole lines."""
