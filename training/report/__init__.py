"""The report of an evaluation: tables, figures, and the words around them."""
