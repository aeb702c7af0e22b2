"""Learning: one resumable training loop and its run folder."""
