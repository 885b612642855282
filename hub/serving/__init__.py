"""A fine-tuned or exported model as an HTTP service: batching, versions and traffic, metrics."""
