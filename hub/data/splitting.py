"""Parts of a data set for training and evaluation that share no text and no group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hub.data.conll import EXTENSIONS
from hub.data.examples import TextDataset, rarest_of
from hub.data.readers import read_table
from hub.data.tables import Row
from hub.data.writers import WRITERS, write_rows, write_safely
from hub.errors import DataError, InputError, OutputError

# Of each row what it is an example of.
Names: TypeAlias = Sequence[tuple[str, ...]]

_ORDER = ("train", "dev", "test")


def assign_parts(data: TextDataset, fractions: Mapping[str, float], seed: int) -> list[str]:
    """Say of each example to which part it belongs.

    Rows of one group, and rows with one text, stay together. Each label (of several, of entities,
    or of an intent and its slots, a row's rarest) has its share in every part as near as that
    allows; all that occurs occurs in "train".

    Args:
        data: the examples.
        fractions: the share of each part but "train", such as `{"dev": 0.1, "test": 0.1}`.
        seed: the same seed gives the same parts.

    Returns:
        A part's name for each example.

    Raises:
        InputError: a share is not between 0 and 1, or nothing is left for training.
        DataError: there are too few rows.
    """
    _check_fractions(fractions)
    generator = np.random.default_rng(seed)
    clusters = _clusters(data)
    names = data.names()
    parts = _deal_out(_by_label(names, clusters), _only_ones(names, clusters), fractions, generator)
    part_of = [parts.get(row, "train") for row in range(len(data))]
    aside = [cluster for cluster in clusters if cluster[0] in parts]
    for cluster, is_needed in zip(aside, needed_to_learn(names, aside), strict=True):
        if is_needed:
            for row in cluster:
                part_of[row] = "train"
    for name, fraction in fractions.items():
        if fraction and name not in part_of:
            raise DataError(
                f"{data.source} has too few rows ({len(data):,}, {len(clusters):,} that can be "
                f"apart) to set {fraction:.0%} aside as {name}."
            )
    return part_of


def _check_fractions(fractions: Mapping[str, float]) -> None:
    for name, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise InputError(f"--{name} must be 0 or more and less than 1, not {fraction}.")
    if sum(fractions.values()) >= 1:
        raise InputError("The shares set aside leave nothing to train on.")


def _by_label(names: Names, clusters: Sequence[list[int]]) -> list[list[list[int]]]:
    """The sets of rows by the rarest label in them, the labels with the fewest sets first."""
    strata = rarest_of(names)
    counts = Counter(strata)
    found: dict[str, list[list[int]]] = {}
    for cluster in clusters:
        # A group with a rare label is dealt out with that label's.
        label = min(
            (strata[row] for row in cluster),
            key=lambda name: counts[name] if name else len(names),
        )
        found.setdefault(label, []).append(cluster)
    return [found[label] for label in sorted(found, key=lambda name: (len(found[name]), name))]


def _deal_out(
    by_label: Iterable[Sequence[list[int]]],
    only: set[int],
    fractions: Mapping[str, float],
    generator: np.random.Generator,
) -> dict[int, str]:
    """Set each label's share of rows aside.

    Args:
        by_label: the sets of rows that stay together, label by label.
        only: the first rows of the sets that training cannot do without.
        fractions: the share of each part but "train".
        generator: draws the sets.

    Returns:
        The part of each row that was set aside.
    """
    parts: dict[int, str] = {}
    seen = 0
    assigned = dict.fromkeys(fractions, 0)
    for members in by_label:
        order = [members[i] for i in generator.permutation(len(members))]
        order.sort(key=len, reverse=True)  # large ones first: the small ones even it out
        rows = sum(map(len, order))
        seen += rows
        # What rounding took from earlier labels is made up for: many rare ones have a share too.
        wanted = {
            name: max(round(fraction * seen) - assigned[name], 0)
            for name, fraction in fractions.items()
        }
        most = {name: ceil(rows * fraction - 1e-9) for name, fraction in fractions.items()}
        room = {name: min(wanted[name], most[name]) for name in fractions}
        for number, cluster in enumerate(order):
            name = max(room, key=room.__getitem__, default="train")
            if number == len(order) - 1 and all(earlier[0] in parts for earlier in order[:number]):
                continue  # a label's last rows are for training
            if cluster[0] in only:
                continue
            if not room or room[name] < max(len(cluster) / 2, 1):
                continue
            room[name] -= len(cluster)
            assigned[name] += len(cluster)
            parts |= dict.fromkeys(cluster, name)
    return parts


def _only_ones(names: Names, clusters: Sequence[Sequence[int]]) -> set[int]:
    """The first rows of those sets of rows that are the only ones with some name."""
    counts = Counter(name for cluster in clusters for name in _names_of(names, cluster))
    return {c[0] for c in clusters if any(counts[name] == 1 for name in _names_of(names, c))}


def needed_to_learn(names: Names, aside: Sequence[Sequence[int]]) -> list[bool]:
    """Which of the sets of rows that were set aside must go back, so that the rest has every name.

    Args:
        names: those of every row, as `TextDataset.names` gives them.
        aside: the numbers of rows, set by set.
    """
    gone = {row for rows in aside for row in rows}
    known = _names_of(names, (row for row in range(len(names)) if row not in gone))
    needed = []
    for rows in aside:
        its_names = _names_of(names, rows)
        needed.append(not its_names <= known)
        if needed[-1]:
            known |= its_names
    return needed


def _names_of(names: Names, rows: Iterable[int]) -> set[str]:
    return {name for row in rows for name in names[row]}


def split_file(
    path: Path,
    data: TextDataset,
    folder: Path,
    parts: Sequence[str],
    overwrite: bool = False,
) -> dict[str, Path]:
    """Write each part's rows, with all their columns, as a file of the same format.

    Args:
        path: the file that `data` was read from.
        data: its usable rows.
        folder: where to write `train`, `dev` and so on.
        parts: each example's part.
        overwrite: replace what is there.

    Returns:
        The file of each part.

    Raises:
        OutputError: a file is there already or cannot be written, or the format is only read.
    """
    # The old kind of workbook is only read.
    extension = ".xlsx" if path.suffix.lower() == ".xls" else path.suffix.lower()
    if extension not in (*WRITERS, *EXTENSIONS) or data.unit == "task":
        raise OutputError(
            f"{path}: {data.facts['format']} cannot be written. Make another file of it with "
            "`hub data convert` and split that."
        )
    part_of = {example.line: part for example, part in zip(data, parts, strict=True)}
    names = [name for name in dict.fromkeys((*_ORDER, *parts)) if name in part_of.values()]
    targets = {name: folder / f"{name}{extension}" for name in names}
    for target in targets.values():
        if target.exists() and not overwrite:
            raise OutputError(f"{target} is there already: replace it with --overwrite.")
        if target.resolve() == path.resolve():
            raise OutputError(f"{target} is the file that is split: choose another --output.")
    if extension == ".parquet":
        _split_parquet(path, targets, part_of)
        return targets
    table = read_table(path)
    rows: dict[str, list[Row]] = {name: [] for name in targets}
    for item in table.rows:
        if isinstance(item, tuple) and item[0] in part_of:
            rows[part_of[item[0]]].append(item[1])
    for name, target in targets.items():
        if table.format == "CoNLL":
            write_safely(target, partial(_write_tags, rows=rows[name]))
        else:
            write_rows(target, table.columns or [], rows[name])
    return targets


def _clusters(data: TextDataset) -> list[list[int]]:
    """The numbers of the examples that may not be apart, each set in order."""
    parents = list(range(len(data)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    first: dict[tuple[str, object], int] = {}
    for i, example in enumerate(data):
        keys: list[tuple[str, object]] = [("text", example.text)]
        if example.group is not None:
            keys.append(("group", example.group))
        for key in keys:
            one, other = root(first.setdefault(key, i)), root(i)
            parents[max(one, other)] = min(one, other)
    found: dict[int, list[int]] = {}
    for i in range(len(data)):
        found.setdefault(root(i), []).append(i)
    return list(found.values())


def _write_tags(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, row in enumerate(rows):
            file.write("\n" if number else "")
            pairs = zip(row["tokens"], row["tags"], strict=True)
            file.writelines(f"{token}\t{tag}\n" for token, tag in pairs)


def _split_parquet(path: Path, targets: Mapping[str, Path], part_of: Mapping[int, str]) -> None:
    """Rows are taken as they are, so that types and the names of classes stay."""
    from pyarrow import parquet

    whole = parquet.read_table(path)
    for name, target in targets.items():
        kept = whole.take([line - 1 for line, part in sorted(part_of.items()) if part == name])
        write_safely(target, partial(parquet.write_table, kept))
