"""Files as people send them: read line by line, bounded, with what is wrong said in words."""
