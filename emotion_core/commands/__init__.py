"""Commands of the shell that are more than a few lines; `cli` registers them."""
