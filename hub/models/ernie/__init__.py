"""ERNIE (and BERT, whose encoder is the same): configuration, layers, checkpoints."""
