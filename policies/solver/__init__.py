"""One price that prices everything: choose an allocation per prompt under a budget."""
