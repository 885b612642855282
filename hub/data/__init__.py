"""Labelled texts: reading them from the files people have, checking, splitting, batching."""

from hub.data.examples import Example, TextDataset
from hub.data.loading import load_dataset

__all__ = ["Example", "TextDataset", "load_dataset"]
