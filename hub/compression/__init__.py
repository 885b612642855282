"""Smaller models: fewer vocabulary entries, layers and units, or a small model taught by a large
one."""
