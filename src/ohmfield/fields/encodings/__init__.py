"""One encoding per file."""
