"""What is converted comes back equal, whatever the formats; what cannot be held is refused."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.data import Entity, Example, TextDataset, Utterance, load_dataset
from hub.data.converting import write_dataset
from hub.data.examples import Label, Text
from hub.errors import DataError, InputError, OutputError

KINDS: dict[str, list[tuple[Text, Label]]] = {
    "text-classification": [("今天，下雨吗?", "天气"), ('说"好"', "a,b"), ("=1+1", "#N/A")],
    "text-matching": [(("怎么还款", "如何还钱"), "1"), (("a b", "c"), "0")],
    "multi-label-classification": [("好", ("a", "b")), ("坏", ()), ("中", ("x,y", "[z"))],
    "token-classification": [
        ("去 New York 的票😀", (Entity(2, 10, "到-达"), Entity(12, 13, "x"))),
        ("好  a b c", ()),
        ("中国人民", (Entity(0, 2, "LOC"), Entity(2, 4, "LOC"))),
    ],
    "intent-slots": [
        ("去北京", Utterance("买票", (Entity(1, 3, "到"),))),
        ("好", Utterance("谢", ())),
    ],
}
FORMATS = {kind: [".tsv", ".csv", ".xlsx", ".jsonl", ".json", ".parquet"] for kind in KINDS}
FORMATS["token-classification"] += [".conll", ".bmes", ".doccano.jsonl"]
FORMATS["text-classification"] += [".doccano.jsonl"]
FORMATS["multi-label-classification"] += [".doccano.jsonl"]
PAIRS = [(kind, *pair) for kind, formats in FORMATS.items() for pair in product(formats, repeat=2)]


def dataset(kind: str, rows: list[tuple[Text, Label]]) -> TextDataset:
    examples = [Example(text, label, n) for n, (text, label) in enumerate(rows, start=1)]
    plain = "text-classification" if kind == "text-matching" else kind
    return TextDataset(examples, "made here", kind=plain)


def rows(data: TextDataset) -> list[tuple[Text, Label]]:
    return [(example.text, example.label) for example in data]


@pytest.mark.parametrize(("kind", "first", "second"), PAIRS)
def test_two_conversions_change_nothing(tmp_path: Path, kind: str, first: str, second: str) -> None:
    if ".xlsx" in (first, second):
        pytest.importorskip("openpyxl")
    one, other = tmp_path / f"one{first}", tmp_path / f"other{second}"
    write_dataset(dataset(kind, KINDS[kind]), one)
    read = load_dataset(one, kind=kind)
    assert rows(read) == KINDS[kind]
    write_dataset(read, other, scheme="BMES" if second == ".bmes" else "BIO")
    assert rows(load_dataset(other, kind=kind)) == KINDS[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extension", [".tsv", ".csv", ".jsonl", ".json", ".parquet"])
def test_the_kind_is_found_again(tmp_path: Path, kind: str, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    data = dataset(kind, KINDS[kind])
    write_dataset(data, path)
    assert rows(load_dataset(path, kind=None)) == KINDS[kind]
    assert load_dataset(path, kind=None).kind == data.kind


# Any character that is one, and more of those that formats give a meaning to.
CHARACTERS = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from(list("\t\r\n\"', \\|#=_x0D😀\ufeff中")),
)
TEXTS = st.text(CHARACTERS, min_size=1, max_size=20).filter(str.strip)
NAMES = TEXTS.map(str.strip)


@st.composite
def texts_with_entities(draw: st.DrawFn) -> tuple[str, tuple[Entity, ...]]:
    text = draw(TEXTS)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    types = st.sampled_from(["LOC", "人 名", "a-b", "B_x"])
    spans = zip(cuts[::2], cuts[1::2], strict=False)
    return text, tuple(Entity(start, end, draw(types)) for start, end in spans)


ROWS = {
    "text-classification": st.tuples(TEXTS, NAMES),
    "text-matching": st.tuples(st.tuples(TEXTS, TEXTS), NAMES),
    "multi-label-classification": st.tuples(
        TEXTS, st.lists(NAMES, max_size=3, unique=True).map(tuple)
    ),
    "token-classification": texts_with_entities(),
}


HOLDING = [".jsonl", ".json", ".parquet", ".csv", ".tsv", ".xlsx"]


@pytest.mark.parametrize(
    ("kind", "extension"), [*product(ROWS, HOLDING), ("token-classification", ".conll")]
)
def test_any_text_comes_back_or_is_refused(tmp_path: Path, kind: str, extension: str) -> None:
    if extension == ".xlsx":
        pytest.importorskip("openpyxl")
    path = tmp_path / f"a{extension}"

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(ROWS[kind], min_size=1, max_size=4), st.sampled_from(["BIO", "BIOES", "BMES"]))
    def prove(wanted: list[tuple[Text, Label]], scheme: str) -> None:
        try:
            write_dataset(dataset(kind, wanted), path, scheme=scheme, overwrite=True)
        except DataError:
            assert extension not in (".jsonl", ".json", ".parquet")
            return
        assert rows(load_dataset(path, kind=kind)) == wanted

    prove()


@pytest.mark.parametrize(
    ("name", "kind", "row", "reason"),
    [
        (
            "a.tsv",
            "text-classification",
            ("一\t二", "a"),
            "TSV cannot hold row 1: its 'text' has a tab",
        ),
        ("a.tsv", "text-classification", ("一\n二", "a"), "Write .csv or .jsonl"),
        ("a.csv", "text-classification", ("一\0", "a"), "null character"),
        ("a.conll", "token-classification", ("一\t二", ()), "a tab"),
        ("a.conll", "token-classification", ("\ufeff二", ()), "made here, line 1"),
        ("a.conll", "text-classification", ("一", "a"), "single texts with entities only"),
        ("a.conll", "multi-label-classification", ("一", ("a",)), "with entities only"),
        ("a.conll", "intent-slots", ("一", Utterance("a", ())), "single texts with entities only"),
        ("a.doccano.jsonl", "text-matching", (("一", "二"), "a"), "doccano's format"),
        ("a.jsonl", "text-classification", ("\ud83d", "a"), "is no character"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_written(
    tmp_path: Path, name: str, kind: str, row: tuple[Text, Label], reason: str
) -> None:
    with pytest.raises(DataError) as caught:
        write_dataset(dataset(kind, [row]), tmp_path / name)
    assert reason in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_are_not_replaced_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("mine")
    data = dataset("text-classification", [("好", "a")])
    with pytest.raises(OutputError, match="--overwrite"):
        write_dataset(data, path)
    assert path.read_text() == "mine"
    write_dataset(data, path, overwrite=True)
    assert load_dataset(path).texts == ["好"]


def test_unknown_extensions_and_schemes_are_refused(tmp_path: Path) -> None:
    data = dataset("token-classification", [("好", ())])
    with pytest.raises(OutputError, match=r"'\.docx' cannot be written; .*\.conll"):
        write_dataset(data, tmp_path / "a.docx")
    with pytest.raises(InputError, match="IOB1 is only read"):
        write_dataset(data, tmp_path / "a.conll", scheme="IOB1")


def test_tags_are_written_in_the_scheme_asked_for(tmp_path: Path) -> None:
    data = dataset("token-classification", [("北京市好", (Entity(0, 3, "LOC"),))])
    for scheme, tags in (("BIO", "BIIO"), ("BIOES", "BIEO"), ("BMES", "BMEO")):
        write_dataset(data, tmp_path / "a.conll", scheme=scheme, overwrite=True)
        lines = (tmp_path / "a.conll").read_text(encoding="utf-8").splitlines()
        assert [line.split("\t")[1][0] for line in lines] == list(tags)
