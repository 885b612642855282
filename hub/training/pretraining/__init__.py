"""Pretraining an encoder on texts without labels."""
