"""How numbers, times and choices are told."""

from __future__ import annotations

from collections.abc import Iterable


def counted(count: int, thing: str) -> str:
    """A number of things in words.

    >>> counted(1, "row"), counted(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A length of time in words, as exact as one plans by.

    >>> duration(0.84), duration(42.3), duration(204), duration(7_500)
    ('0.8 s', '42 s', '3 min 24 s', '2 h 5 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def must_be_one_of(what: str, choices: Iterable[str], given: object) -> str:
    """The sentence for a value that is none of those there are.

    >>> must_be_one_of("pooling", ("cls", "mean"), "max")
    "pooling must be one of cls, mean, not 'max'."
    """
    return f"{what} must be one of {', '.join(choices)}, not {given!r}."
