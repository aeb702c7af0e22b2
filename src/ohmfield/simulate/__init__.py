"""What a chip computes: programmed instances, converted layers, calibration of converters."""
