"""For people: the page, its tables and figures, and what is kept of each deployment."""
