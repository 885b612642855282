"""Labelled texts: reading them from the files people have, checking, splitting, batching."""

from hub.data.choosing import KINDS
from hub.data.examples import Entity, Example, TextDataset, Utterance
from hub.data.loading import load_dataset

__all__ = ["KINDS", "Entity", "Example", "TextDataset", "Utterance", "load_dataset"]
