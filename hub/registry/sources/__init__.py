"""Where the files of a model come from: public hubs, an object store, a team's mirror."""

from hub.registry.sources.base import AS_PUBLISHED, Listing, PublicSource
from hub.registry.sources.order import public_sources

__all__ = ["AS_PUBLISHED", "Listing", "PublicSource", "public_sources"]
