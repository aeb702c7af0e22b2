"""The bill: counts of every action, times what each leaf of the chip costs."""
