"""ernie-tiny's tokenizer is PaddleNLP's to the last id, and knows where each token stands."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import InputError, ModelError
from hub.tokenizers import ErnieTinyTokenizer, load_tokenizer
from hub.tokenizers.words import cut

FOLDER = Path(__file__).parents[1] / "golden" / "ernie_tiny"
ROWS = [json.loads(line) for line in (FOLDER / "golden.jsonl").read_text("utf-8").split("\n")[1:-1]]


@pytest.fixture(scope="module")
def tokenizer() -> ErnieTinyTokenizer:
    loaded = load_tokenizer(FOLDER)
    assert isinstance(loaded, ErnieTinyTokenizer)
    return loaded


def test_ids_and_segments_are_those_of_paddlenlp(tokenizer: ErnieTinyTokenizer) -> None:
    assert len(ROWS) > 500
    for row in ROWS:
        text = row["text"] if row["pair"] is None else (row["text"], row["pair"])
        encoding = tokenizer.encode([text], row["max_seq_len"])[0]
        assert encoding.input_ids == row["input_ids"], row
        assert encoding.token_type_ids == row["token_type_ids"], row


def test_the_golden_rows_tell_rules_apart(tokenizer: ErnieTinyTokenizer) -> None:
    """Unknown pieces, cut texts, pairs, capitals: each occurs, so that each is compared."""
    unknown = tokenizer.encode(["[UNK]"])[0].input_ids  # the literal text is no special token
    assert len(unknown) > 3
    ids = {number for row in ROWS for number in row["input_ids"]}
    assert 4 in ids  # [UNK]
    assert len(ids) > 400
    assert sum(row["pair"] is not None for row in ROWS) > 50
    assert any(len(row["input_ids"]) == 12 == row["max_seq_len"] for row in ROWS)


def test_a_saved_tokenizer_is_the_same_and_holds_no_pickle(
    tokenizer: ErnieTinyTokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path, 128)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(tokenizer.files)
    assert not list(tmp_path.glob("*.pickle"))
    again = load_tokenizer(tmp_path)
    texts = [row["text"] for row in ROWS if row["pair"] is None]
    assert again.encode(texts) == tokenizer.encode(texts)
    assert (
        again.id_count
        == tokenizer.id_count
        == len((FOLDER / "vocab.txt").read_text("utf-8").splitlines())
    )
    assert again.pad_token_id == 0


# --- offsets -------------------------------------------------------------------------------------


def spans(tokenizer: ErnieTinyTokenizer, text: str) -> list[str]:
    offsets = tokenizer(text, max_seq_len=512, return_offsets=True)["offset_mapping"]
    assert offsets[0] == offsets[-1] == (0, 0)
    return [text[start:end] for start, end in offsets[1:-1]]


def test_the_space_before_the_text_stands_nowhere(tokenizer: ErnieTinyTokenizer) -> None:
    assert tokenizer.tokenize("北京的酒店") == ["▁", "北京", "▁", "的酒店"]
    assert spans(tokenizer, "北京的酒店") == ["", "北京", "", "的酒店"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("北京的酒店", {"北京", "的酒店"}),
        ("  北京  的 酒店 ", {"北京", "酒店"}),
        ("İ北京", {"İ", "北京"}),
        ("👍北京的酒店👨‍👩‍👧", {"北京", "的酒店", "👍", "👨", "👧"}),
        ("ﾊﾟ北京ⅷ酒店", {"ﾊ", "ﾟ", "北京", "ⅷ", "酒店"}),
        ("ＡＢ北京", {"北京"}),
    ],
)
def test_a_token_stands_where_it_stands_in_the_users_text(
    text: str, words: set[str], tokenizer: ErnieTinyTokenizer
) -> None:
    assert words <= set(spans(tokenizer, text))


TEXTS = st.text(
    st.one_of(
        st.sampled_from("北京的酒店电话多少附近有什么好吃 　\t\nABCabcİẞΣς１２①ⅷﾊﾟ👍👨‍👩‍👧́"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_offsets_are_in_order_and_inside_the_text(text: str) -> None:
    tokenizer = load_tokenizer(FOLDER)
    encoded = tokenizer(text, max_seq_len=512, return_offsets=True)
    offsets = encoded["offset_mapping"]
    assert len(offsets) == len(encoded["input_ids"])
    inner = offsets[1:-1]
    assert all(0 <= start <= end <= len(text) for start, end in inner)
    assert [start for start, _ in inner] == sorted(start for start, _ in inner)
    # Where two tokens share a place, it is one character that became several.
    for (_, end), (start, _) in itertools.pairwise(inner):
        assert start >= end - 1


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("北京大学生", ["北京大学", "生"]),
        ("北 京", ["北", "京"]),
        ("五个字的词", ["五个字的词"]),
        ("六个字的长词", ["六", "个", "字", "的", "长", "词"]),
        ("", []),
        ("a　b", ["a", "\u3000", "b"]),  # only the plain space is left out
    ],
)
def test_words_are_the_longest_of_at_most_five_characters(text: str, wanted: list[str]) -> None:
    words = {"北京", "北京大学", "大学生", "五个字的词", "六个字的长词"}
    assert [text[start:end] for start, end in cut(text, words)] == wanted


def test_a_long_line_takes_no_quadratic_time(tokenizer: ErnieTinyTokenizer) -> None:
    assert len(tokenizer.encode(["北京的酒店" * 20_000], 128)[0].input_ids) == 128


# --- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(FOLDER, tmp_path / "copy")


@pytest.mark.parametrize("name", ["vocab.txt", "dict.wordseg.pickle"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_tokenizer(folder)


@pytest.mark.parametrize("name", ["spm_cased_simp_sampled.model", "dict.wordseg.pickle"])
def test_a_damaged_file_is_a_sentence(name: str, folder: Path) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:100])
    with pytest.raises(ModelError):
        load_tokenizer(folder)


def test_a_vocabulary_without_special_tokens_is_refused(folder: Path) -> None:
    (folder / "vocab.txt").write_text("北京\n酒店\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"lacks \[PAD\]"):
        load_tokenizer(folder)


def test_too_few_tokens_are_refused(tokenizer: ErnieTinyTokenizer) -> None:
    with pytest.raises(InputError, match="3 tokens at least"):
        tokenizer.encode(["北京"], 2)


class Call:
    """Calls a function when it is unpickled as usual."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["system", "eval", "subprocess", "getattr", "nested"])
def test_a_dictionary_that_runs_code_is_refused_and_does_not_run_it(
    kind: str, protocol: int, folder: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    touch = f"touch '{canary}'"
    evil: Any = {
        "system": Call(os.system, touch),
        "eval": Call(eval, f"open({str(canary)!r}, 'w')"),
        "subprocess": Call(subprocess.run, touch),
        "getattr": Call(getattr, "x", "upper"),
        "nested": {"北京": [Call(os.system, touch)]},
    }[kind]
    (folder / "dict.wordseg.pickle").write_bytes(pickle.dumps(evil, protocol))
    with pytest.raises(ModelError, match="nothing in it was run"):
        load_tokenizer(folder)
    assert not canary.exists()


@pytest.mark.parametrize("value", [7, {"北京": 1, 3: 1}, [b"x"], None])
def test_a_dictionary_of_something_else_is_refused(value: Any, folder: Path) -> None:
    (folder / "dict.wordseg.pickle").write_bytes(pickle.dumps(value))
    with pytest.raises(ModelError, match="does not hold words"):
        load_tokenizer(folder)


@pytest.mark.parametrize("container", [dict.fromkeys, set, frozenset, list])
def test_every_plain_container_of_words_is_read(container: Any, folder: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(container(["北京", "酒店"]), protocol)
        (folder / "dict.wordseg.pickle").write_bytes(content)
        load_tokenizer(folder)
