"""ernie-tiny's tokenizer is PaddleNLP's to the last id, and knows where each token stands."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import InputError, ModelError
from hub.tokenizers import ErnieTinyTokenizer, WordPieceTokenizer, load_tokenizer
from hub.tokenizers.alignment import lowered
from hub.tokenizers.words import cut

FOLDER = Path(__file__).parents[1] / "golden" / "ernie_tiny"
HEAD, *ROWS = map(json.loads, (FOLDER / "golden.jsonl").read_text("utf-8").split("\n")[:-1])
SINGLES = [row["text"] for row in ROWS if row["pair"] is None]
UNKNOWN = 4


@pytest.fixture(scope="module")
def tokenizer() -> ErnieTinyTokenizer:
    loaded = load_tokenizer(FOLDER)
    assert isinstance(loaded, ErnieTinyTokenizer)
    return loaded


def test_tokens_ids_and_segments_are_those_of_paddlenlp(tokenizer: ErnieTinyTokenizer) -> None:
    for row in ROWS:
        parts = [row["text"]] if row["pair"] is None else [row["text"], row["pair"]]
        assert [tokenizer.tokenize(part) for part in parts] == row["tokens"], row
        text = parts[0] if len(parts) == 1 else tuple(parts)
        for limit, wanted in ((None, row["whole"]), (HEAD["limit"], row["short"])):
            encoding = tokenizer.encode([text], limit)[0]
            assert [encoding.input_ids, encoding.token_type_ids] == wanted, row
            assert encoding.truncated == (wanted != row["whole"])


def test_the_golden_rows_tell_rules_apart() -> None:
    """Unknown pieces, cut texts, pairs, special tokens: each occurs, so that each is compared."""
    assert len(SINGLES) >= 200 and len(set(SINGLES)) > 200
    seen = Counter(number for row in ROWS for number in row["whole"][0][1:-1])
    assert seen[UNKNOWN] > 100 and len(seen) > 400
    assert all(seen[special] for special in (0, 1, 2, 3))  # written in a text
    cut_pairs = [row for row in ROWS if row["pair"] is not None and row["short"] != row["whole"]]
    assert len(cut_pairs) > 50
    # Equally long texts that share an odd number of tokens: the first keeps one more.
    ties = [row["short"][1] for row in cut_pairs if min(map(len, row["tokens"])) >= 5]
    assert ties and all(kinds == [0] * 7 + [1] * 5 for kinds in ties)


def test_special_tokens_in_a_text_are_special(tokenizer: ErnieTinyTokenizer) -> None:
    text = "北京[MASK]的 [mask]"
    assert tokenizer.tokenize(text)[:4] == ["▁", "北京", "[MASK]", "▁的"]
    assert tokenizer.tokenize(text)[4:] != ["[MASK]"]  # in small letters it is a text
    assert spans(tokenizer, text)[:4] == ["", "北京", "[MASK]", "的"]


def test_each_character_is_lowered_alone() -> None:
    for number in range(0x110000):
        if not 0xD800 <= number < 0xE000:
            text = "a" + chr(number)
            lower, places = lowered(text)
            assert lower == "a" + chr(number).lower()
            assert list(places) == [0] + [1] * (len(lower) - 1)
    assert lowered("ΑΣ")[0] == "ας".replace("ς", "σ")


def test_a_saved_tokenizer_is_the_same_and_holds_no_pickle(
    tokenizer: ErnieTinyTokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path, 128)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(tokenizer.files)
    assert not list(tmp_path.glob("*.pickle"))
    again = load_tokenizer(tmp_path)
    assert again.encode(SINGLES) == tokenizer.encode(SINGLES)
    assert (
        again.id_count
        == tokenizer.id_count
        == len((FOLDER / "vocab.txt").read_text("utf-8").splitlines())
    )
    assert again.pad_token_id == 0


def test_a_fresh_process_loads_what_was_saved_and_gives_the_same_ids(
    tokenizer: ErnieTinyTokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path, 128)
    script = (
        "import json, pathlib, sys; from hub.tokenizers import load_tokenizer; "
        "tokenizer = load_tokenizer(pathlib.Path(sys.argv[1])); "
        "print(json.dumps(tokenizer(json.load(sys.stdin), max_seq_len=4096)['input_ids']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        input=json.dumps(SINGLES),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == tokenizer(SINGLES, max_seq_len=4096)["input_ids"]


# --- offsets -------------------------------------------------------------------------------------


def spans(tokenizer: ErnieTinyTokenizer, text: str) -> list[str]:
    """What each token but `[CLS]` and `[SEP]` stands for in the text."""
    offsets = tokenizer(text, max_seq_len=4096, return_offsets=True)["offset_mapping"]
    assert offsets[0] == offsets[-1] == (0, 0)
    return [text[start:end] for start, end in offsets[1:-1]]


def test_the_space_before_the_text_stands_nowhere(tokenizer: ErnieTinyTokenizer) -> None:
    assert tokenizer.tokenize("北京的酒店") == ["▁", "北京", "▁", "的酒店"]
    assert spans(tokenizer, "北京的酒店") == ["", "北京", "", "的酒店"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("北京的酒店", "北京 的酒店"),
        ("  北京  的 酒店 ", "北京 的 酒店"),
        ("北京\u3000酒店 \n\t 北京\n", "北京 酒店 北京"),  # white space that is no space
        ("a\u200b北京 \x07 酒店", "a 北京 酒店"),  # invisible characters between words
        ("İ北京", "İ İ 北京"),  # two characters in lower case: two tokens, one place
        ("ΑΣ北京", "Α Σ 北京"),
        ("ＡＢ北京", "Ａ Ｂ 北京"),
        ("①北京㍿酒店", "① 北京 ㍿ ㍿ ㍿ ㍿ 酒店"),  # 株式会社, four tokens
        ("ﾊﾟ北京ⅷ酒店", "ﾊ ﾟ 北京 ⅷ ⅷ ⅷ ⅷ 酒店"),
        ("👍北京的酒店👨\u200d👩", "👍 北京 的酒店 👨 \u200d 👩"),
        ("\u0301 cafe\u0301", "\u0301 c a f e \u0301"),
        ("▁北京 ▁ 酒店", "北京 ▁ 酒店"),  # the user's own ▁
        ("\ufffd北京", "北京"),
    ],
)
def test_a_token_stands_where_it_stands_in_the_users_text(
    text: str, wanted: str, tokenizer: ErnieTinyTokenizer
) -> None:
    assert " ".join(filter(None, spans(tokenizer, text))) == wanted


def test_characters_that_melt_into_one_are_one_place(folder: Path) -> None:
    """With a dictionary that has them as a word, they reach SentencePiece side by side."""
    (folder / "dict.wordseg.pickle").write_bytes(pickle.dumps(["e\u0301", "ﾊﾟ", "a\x07b"]))
    loaded = load_tokenizer(folder)
    assert isinstance(loaded, ErnieTinyTokenizer)
    found = list(filter(None, spans(loaded, "xe\u0301ﾊﾟ a\x07b")))
    assert found[:3] == ["x", "e\u0301", "ﾊﾟ"]
    assert "".join(found[3:]).replace("\x07", "") == "ab"


def test_both_halves_of_a_surrogate_pair_count_as_they_do_in_the_text(
    tokenizer: ErnieTinyTokenizer,
) -> None:
    assert spans(tokenizer, "北京\ud83d\ude00酒店\ud83d的") == [
        *("", "北京", "", "\ud83d\ude00", "", "酒店", "的")
    ]


def test_a_cut_text_has_the_places_of_what_is_left(tokenizer: ErnieTinyTokenizer) -> None:
    whole, short = (
        tokenizer("北京的酒店有什么好吃的", max_seq_len=limit, return_offsets=True)[
            "offset_mapping"
        ]
        for limit in (64, 7)
    )
    assert short == [*whole[:6], (0, 0)]


def test_a_pair_has_the_places_of_each_text(tokenizer: ErnieTinyTokenizer) -> None:
    encoding = tokenizer.encode([("北京", "的酒店")], return_offsets=True)[0]
    assert encoding.offsets == [(0, 0), (0, 0), (0, 2), (0, 0), (0, 0), (0, 3), (0, 0)]
    assert tokenizer.encode([("北京", "的酒店")])[0].offsets is None


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            "北京的酒店电话多少附近 \u3000\t\n\u200b\x07▁ABCabcİẞΣς１２①ⅷ㍿ﾊﾟ👍👨\u200d👩\u0301[]"
        ),
        st.sampled_from(["[MASK]", "[SEP]", "北京", "的酒店", " ", "WiFi"]),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_places_are_in_order_and_leave_out_nothing_to_be_seen(text: str) -> None:
    tokenizer = load_tokenizer(FOLDER) if TOKENIZERS == [] else TOKENIZERS[0]
    TOKENIZERS[:] = [tokenizer]
    assert isinstance(tokenizer, ErnieTinyTokenizer)
    encoded = tokenizer(text, max_seq_len=4096, return_offsets=True)
    assert len(encoded["offset_mapping"]) == len(encoded["input_ids"])
    inner = encoded["offset_mapping"][1:-1]
    assert all(0 <= start <= end <= len(text) for start, end in inner)
    for start, end in inner:
        assert text[start:end] == text[start:end].strip()
    filled = [span for span in inner if span[0] < span[1]]
    for (start, end), following in itertools.pairwise(filled):
        # Where two tokens share a place, it is one character that became several.
        assert following[0] >= end or (start, end) == (following[0], start + 1)
    # What no token stands for is white space, or nothing for SentencePiece.
    left = set(range(len(text))).difference(*(range(*span) for span in filled))
    for place in left:
        assert text[place].isspace() or normalized(tokenizer, text[place]) == ""


TOKENIZERS: list[Any] = []  # loaded once for all examples


def normalized(tokenizer: ErnieTinyTokenizer, text: str) -> str:
    """What SentencePiece makes of a text, without spaces."""
    return str(tokenizer._processor.normalize(text)).replace("▁", "")


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


@pytest.mark.parametrize("piece", ["北京的酒店", "a", "[MASK]", "[", "İ", " "])
def test_a_long_line_takes_no_quadratic_time(piece: str, tokenizer: ErnieTinyTokenizer) -> None:
    def seconds(characters: int) -> float:
        text = piece * (characters // len(piece))
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            tokenizer(text, max_seq_len=128, return_offsets=True)
            best = min(best, time.process_time() - start)
        return best

    # Ten times the text: ten times as long, or a hundred times if it were quadratic.
    assert seconds(100_000) < 40 * max(seconds(10_000), 0.001)


# --- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(FOLDER, tmp_path / "copy")


@pytest.mark.parametrize(
    "name", ["vocab.txt", "dict.wordseg.pickle", "spm_cased_simp_sampled.model"]
)
def test_a_missing_file_is_named_alone(name: str, folder: Path) -> None:
    names = {"vocab.txt", "dict.wordseg.pickle", "spm_cased_simp_sampled.model"}
    (folder / name).unlink()
    with pytest.raises(ModelError) as caught:
        load_tokenizer(folder)
    assert {other for other in names if other in str(caught.value)} == {name}


def test_a_folder_says_by_its_files_which_tokenizer_it_has(folder: Path) -> None:
    assert isinstance(load_tokenizer(folder), ErnieTinyTokenizer)
    for name in ("dict.wordseg.pickle", "spm_cased_simp_sampled.model"):
        (folder / name).unlink()
    assert isinstance(load_tokenizer(folder), WordPieceTokenizer)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        load_tokenizer(folder)


@pytest.mark.parametrize("size", [0, 100, 30_000])
@pytest.mark.parametrize("name", ["spm_cased_simp_sampled.model", "dict.wordseg.pickle"])
def test_a_damaged_file_is_a_sentence(name: str, size: int, folder: Path) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:size])
    with pytest.raises(ModelError, match=r"damaged|cannot be read"):
        load_tokenizer(folder)


def test_a_model_that_cannot_place_its_tokens_says_so(folder: Path) -> None:
    import io

    import sentencepiece

    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SINGLES),
        model_writer=made,
        vocab_size=1400,
        byte_fallback=True,
        minloglevel=2,
    )
    (folder / "spm_cased_simp_sampled.model").write_bytes(made.getvalue())
    loaded = load_tokenizer(folder)
    assert len(loaded("龘", max_seq_len=64)["input_ids"]) > 3
    with pytest.raises(ModelError, match="cannot say where"):
        loaded("龘", max_seq_len=64, return_offsets=True)


def test_a_vocabulary_without_special_tokens_is_refused(folder: Path) -> None:
    (folder / "vocab.txt").write_text("北京\n酒店\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"lacks \[PAD\]"):
        load_tokenizer(folder)


def test_too_few_tokens_are_refused(tokenizer: ErnieTinyTokenizer) -> None:
    with pytest.raises(InputError, match="3 tokens at least"):
        tokenizer.encode(["北京"], 2)
    with pytest.raises(InputError, match="3 tokens at least"):
        tokenizer("北京", max_seq_len=2)


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


class Persistent(pickle.Pickler):
    """Leaves an object to the reader to find."""

    def persistent_id(self, obj: Any) -> Any:
        return "elsewhere" if obj == "北京" else None


def test_a_dictionary_that_is_partly_elsewhere_is_refused(folder: Path) -> None:
    with (folder / "dict.wordseg.pickle").open("wb") as file:
        Persistent(file).dump(["北京"])
    with pytest.raises(ModelError, match="nothing in it was run"):
        load_tokenizer(folder)


def test_what_a_dictionary_does_to_its_containers_stays_in_it(folder: Path) -> None:
    """`BUILD` sets attributes on what a pickle has found."""
    content = b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00xK\x01sb0]."
    (folder / "dict.wordseg.pickle").write_bytes(content)
    with contextlib.suppress(ModelError):
        load_tokenizer(folder)
    assert not hasattr(OrderedDict, "x")


@pytest.mark.parametrize("value", [7, {"北京": 1, 3: 1}, [b"x"], None, "北京", ["\ud83d"]])
def test_a_dictionary_of_something_else_is_refused(value: Any, folder: Path) -> None:
    (folder / "dict.wordseg.pickle").write_bytes(pickle.dumps(value))
    with pytest.raises(ModelError, match="does not hold words"):
        load_tokenizer(folder)


@pytest.mark.parametrize("container", [dict.fromkeys, OrderedDict.fromkeys, set, frozenset, list])
def test_every_plain_container_of_words_is_read(container: Any, folder: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(container(["北京", "酒店"]), protocol)
        (folder / "dict.wordseg.pickle").write_bytes(content)
        loaded = load_tokenizer(folder)
        assert isinstance(loaded, ErnieTinyTokenizer)
        assert spans(loaded, "北京酒店") == ["", "北京", "", "酒店"]
