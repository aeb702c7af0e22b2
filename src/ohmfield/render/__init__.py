"""A model and a camera to a frame."""
