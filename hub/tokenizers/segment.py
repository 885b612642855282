"""Chinese words, as jieba cuts them: what whole-word masking masks as one.

`rjieba`, the same algorithm in Rust, does the cutting where it is installed, several times faster.
It differs from jieba around a few ASCII signs (jieba cuts `2025-05-04`, rjieba does not), at rare
ideographs, and where two ways to cut are equally likely, which takes a repetition such as 哈哈哈.
Such texts are left to jieba, so that the words are the same whether it is installed or not.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from hub.errors import InputError
from hub.files import read_utf8
from hub.wording import must_be_one_of

BACKENDS = ("auto", "jieba", "rjieba")
# What jieba takes for letters, next to something that both take for one.
_SIGNS, _LETTERS = "-._+#&%", r"[^\s\u4E00-\u9FD5]"
_RARE = r"[\u3400-\u4DBF\u9FD6-\u9FFF\U00020000-\U0003FFFF]"
_REPEATED = r"(.{1,4})\1\1"
_DIFFERING_BY_DICTIONARY = re.compile(_REPEATED)
_DIFFERING = re.compile(rf"[{_SIGNS}]{_LETTERS}|{_LETTERS}[{_SIGNS}]|{_RARE}|{_REPEATED}")
# Both cut a text at these, whatever stands around them.
_PUNCTUATION = re.compile("([，。！？；：、])")
# A line of a dictionary, as jieba reads it: a word may hold spaces.
_ENTRY = re.compile(r"(?P<word>.+?)( [0-9]+)?( [a-z]+)?$")


class Segmenter:
    """Cuts texts into words.

    Args:
        dictionary: the user's own words, one a line as jieba reads them: the word and, after
            spaces, its frequency and part of speech, both optional.
        hmm: guess words that no dictionary has, by jieba's hidden Markov model.
        backend: "jieba"; "rjieba", for the texts that it cuts alike; or "auto", the second where it
            is installed.

    Raises:
        InputError: the dictionary cannot be read, or the backend is unknown or not installed.
    """

    def __init__(
        self, dictionary: str | Path | None = None, hmm: bool = True, backend: str = "auto"
    ) -> None:
        if backend not in BACKENDS:
            raise InputError(must_be_one_of("backend", BACKENDS, backend))
        if backend == "rjieba" and not _has_rjieba():
            raise InputError("rjieba is not installed: pip install rjieba, or use backend='auto'.")
        self.dictionary = None if dictionary is None else Path(dictionary)
        self.hmm = hmm
        self.backend = backend
        # Lines end as jieba, which reads the file as well, has them end.
        self._own_words = "" if self.dictionary is None else read_utf8(self.dictionary, "\n")

    @property
    def fingerprint(self) -> str:
        """A digest of all that the words depend on."""
        facts = f"jieba {self.hmm:d}\n{self._own_words}"
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    def cut(self, text: str) -> list[str]:
        """The words of `text`; joined they are the text, spaces included.

        >>> Segmenter().cut("我爱北京天安门")
        ['我', '爱', '北京', '天安门']
        """
        rust = self._rust
        # Half a surrogate pair is no text that Rust takes.
        if rust is None or not _is_utf8(text):
            return list(self._jieba.cut(text, HMM=self.hmm))
        differing = _DIFFERING if self.hmm else _DIFFERING_BY_DICTIONARY
        if not differing.search(text):
            return list(rust.cut(text, self.hmm))
        words: list[str] = []
        for part in _PUNCTUATION.split(text):
            if differing.search(part):
                words += self._jieba.cut(part, HMM=self.hmm)
            else:
                words += rust.cut(part, self.hmm)
        return words

    def starts(self, text: str) -> list[int]:
        """Where the words of `text` begin, in characters; white space is a word here."""
        starts, place = [], 0
        for word in self.cut(text):
            starts.append(place)
            place += len(word)
        return starts

    @cached_property
    def _jieba(self) -> Any:
        import jieba

        # jieba talks of its loading on the standard error, and keeps its dictionary for the next
        # time in the folder for temporary files, from where it would also load what anybody put
        # there: it gets a folder of this process's own.
        jieba.setLogLevel(logging.WARNING)
        cutter = jieba.Tokenizer()
        with tempfile.TemporaryDirectory() as folder:
            cutter.tmp_dir = folder
            cutter.initialize()
        if self.dictionary is not None:
            cutter.load_userdict(str(self.dictionary))
        return cutter

    @cached_property
    def _rust(self) -> Any:
        if self.backend == "jieba" or not _has_rjieba():
            return None
        import rjieba

        cutter = rjieba.Jieba()
        if self.dictionary is not None:
            # With the frequencies that jieba gave them, which decide where words are cut.
            frequencies = self._jieba.FREQ
            for word in _words_of(self._own_words):
                cutter.add_word(word, frequencies.get(word, 0), None)
        return cutter

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to make its own: the dictionaries are not copied."""
        return {n: v for n, v in self.__dict__.items() if n not in ("_jieba", "_rust")}


def _has_rjieba() -> bool:
    from importlib.util import find_spec

    return find_spec("rjieba") is not None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _words_of(content: str) -> list[str]:
    lines = map(str.strip, content.split("\n"))
    return [match["word"] for match in map(_ENTRY.match, lines) if match]
