"""Learning from another model: its answers, and what passes through its encoder."""
