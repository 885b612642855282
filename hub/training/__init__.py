"""Fine-tuning: the Trainer, its arguments, checkpoints and reports."""
