"""Fewer bits: grids and their calibration."""
