"""How a text, or a pair, of too many tokens is cut."""

from __future__ import annotations

from collections.abc import Sequence

from hub.errors import InputError
from hub.wording import must_be_one_of

# As in `transformers` and PaddleNLP.
STRATEGIES = ("longest_first", "only_first", "only_second", "do_not_truncate")


def check_truncation(strategy: str) -> None:
    """See that there is such a strategy.

    Raises:
        InputError: there is not.
    """
    if strategy not in STRATEGIES:
        raise InputError(must_be_one_of("truncation", STRATEGIES, strategy))


def lengths_kept(
    counts: Sequence[int], room: int, strategy: str, odd_to_longer: bool = False
) -> list[int]:
    """How many tokens are kept of one text or two, of which at most `room` fit.

    Args:
        counts: the tokens of each.
        room: those that fit.
        strategy: one of `STRATEGIES`.
        odd_to_longer: who has one token more when both texts of a pair are cut to an odd sum: the
            longer text, the second if they are equal, as in the Rust library; or the first one, as
            in BERT's own code and in PaddleNLP.

    Raises:
        InputError: the one text that may be cut is not long enough, or is not there.

    >>> lengths_kept([9, 9], 7, "longest_first"), lengths_kept([9, 9], 12, "only_second")
    ([4, 3], [9, 3])
    """
    excess = sum(counts) - room
    if excess <= 0 or strategy == "do_not_truncate":
        return list(counts)
    if strategy == "longest_first":
        return _longest_first(counts, max(0, room), odd_to_longer)
    cut = 0 if strategy == "only_first" else 1
    if cut >= len(counts):
        raise InputError(
            "truncation='only_second' cuts the second text of a pair; this text is alone."
        )
    if counts[cut] <= excess:
        raise InputError(
            f"A pair of {counts[0]} and {counts[1]} tokens cannot be cut to {room} with "
            f"truncation={strategy!r}; 'longest_first' cuts both."
        )
    return [count - excess if number == cut else count for number, count in enumerate(counts)]


def _longest_first(counts: Sequence[int], room: int, odd_to_longer: bool) -> list[int]:
    """The longer text loses tokens first, then both in turn."""
    if len(counts) == 1:
        return [min(counts[0], room)]
    first, second = counts
    half = room // 2
    if second <= half:
        return [room - second, second]
    if first <= half:
        return [first, room - first]
    first_has_more = first > second if odd_to_longer else True
    return [room - half, half] if first_has_more else [half, room - half]
