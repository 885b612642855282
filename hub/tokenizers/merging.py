"""The pieces that words are made of: byte-pair merges over a table of words.

The merges are those of https://arxiv.org/abs/1508.07909, with the pieces inside words marked as
BERT's are. Equal counts are decided by the pieces' text, so that a corpus has one result, on every
machine and in whatever order its texts come.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

CONTINUING = "##"

Pair = tuple[str, str]


def spelled(word: str) -> list[str]:
    """A word's characters, those after the first marked: `["w", "##e", "##b"]`."""
    return [word[0], *(CONTINUING + character for character in word[1:])]


def learn_merges(words: Mapping[str, int], min_frequency: int) -> Iterator[str]:
    """Give the merged pieces, the most frequent pair first.

    Args:
        words: how often each word occurs.
        min_frequency: how often two pieces must stand together to be merged.

    Yields:
        A piece after another, for as long as there are pairs that are frequent enough. A piece that
        two pairs make comes once.
    """
    table = [(spelled(word), count) for word, count in words.items() if len(word) > 1]
    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for place, (pieces, count) in enumerate(table):
        for pair in itertools.pairwise(pieces):
            counts[pair] += count
            places[pair].add(place)
    queue = [(-count, pair) for pair, count in counts.items() if count >= min_frequency]
    heapq.heapify(queue)
    known: set[str] = set()
    while queue:
        negative, pair = heapq.heappop(queue)
        current = counts[pair]
        if current != -negative:  # merges have taken some of it since
            if current >= min_frequency:
                heapq.heappush(queue, (-current, pair))
            continue
        merged = pair[0] + pair[1].removeprefix(CONTINUING)
        if merged not in known:
            known.add(merged)
            yield merged
        grown: set[Pair] = set()
        for place in places.pop(pair):
            pieces, count = table[place]
            for old in itertools.pairwise(pieces):
                counts[old] -= count
            pieces[:] = _merge(pieces, pair, merged)
            for new in itertools.pairwise(pieces):
                counts[new] += count
                if merged in new:
                    places[new].add(place)
                    grown.add(new)
        del counts[pair]
        for new in grown:
            if counts[new] >= min_frequency:
                heapq.heappush(queue, (-counts[new], new))


def _merge(pieces: list[str], pair: Pair, merged: str) -> list[str]:
    result: list[str] = []
    place = 0
    while place < len(pieces):
        if tuple(pieces[place : place + 2]) == pair:
            result.append(merged)
            place += 2
        else:
            result.append(pieces[place])
            place += 1
    return result
