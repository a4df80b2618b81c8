"""What stands for right and wrong where nobody knows the right answers: agreement, a verifier, a judge."""
