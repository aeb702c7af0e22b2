"""Ohmfield: what a neural field will look like, how fast it runs and what it draws on an in-memory chip."""

__version__ = "0.1.0"
