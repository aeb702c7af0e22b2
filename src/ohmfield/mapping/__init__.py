"""From a model to a chip: operators with declared ids, weights as cells, matrices on arrays, layers on units."""
