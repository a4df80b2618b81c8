"""How sure answers are, learned out of fold from plays of what the policy would do."""
