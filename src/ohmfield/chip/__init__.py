"""The chip: one description that simulation, bill and search read, with the cost of each of its leaves."""
