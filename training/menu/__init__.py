"""Choose what goes on the menu, and tune the policy over it, out of fold."""
