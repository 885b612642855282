"""How much memory a run holds on to.

Freed memory is kept for the next tensors (`hub.backend`), which makes a step several times as fast.
But steps of other lengths cut it up otherwise, and between the pieces lie things that stay, such as
the computations compiled for each length: of long texts a run came to hold many times what a step
needs. Then all that is free is given back, and taken again as the next steps need it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hub.backend import give_back_freed_memory

_STATM = Path("/proc/self/statm")
# Twice what a step needs is held at most: to give memory back takes about as long as half a step.
_MOST = 2.0


class KeptMemory:
    """Gives freed memory back when far more is held than a step needs.

    Args:
        held: the bytes of memory that the process holds; None where nobody says.
        give_back: gives back what is free.
    """

    def __init__(
        self,
        held: Callable[[], int | None] | None = None,
        give_back: Callable[[], object] = give_back_freed_memory,
    ) -> None:
        self._held, self._give_back = held or _held_bytes, give_back
        self._needed = 0
        self._is_fresh = True

    def after_step(self) -> None:
        """See how much is held now."""
        held = self._held()
        if held is None:
            return
        if self._is_fresh:  # nothing is held yet but what this step took
            self._needed, self._is_fresh = max(self._needed, held), False
        elif held > _MOST * self._needed:
            self._give_back()
            self._is_fresh = True


def _held_bytes() -> int | None:
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):  # not Linux
        return None
    return pages * os.sysconf("SC_PAGESIZE")
