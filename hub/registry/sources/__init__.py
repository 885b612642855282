"""Where the files of a model come from: public hubs, an object store, a team's mirror."""

from hub.registry.sources.base import Listing, PublicSource
from hub.registry.sources.order import public_sources

__all__ = ["Listing", "PublicSource", "public_sources"]
