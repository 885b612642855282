"""Characters that a person does not see, or sees as others, but a model reads."""

from __future__ import annotations

import re
import unicodedata

# Name -> what belongs to it. U+200D joins emoji and U+FE0F colours them: neither is odd there.
_ODD = {
    "control character": "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]",
    "zero-width character": "[\u00ad\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064]"
    "|[\u2066-\u2069]|[\u200d](?![\u2190-\u2bff\U0001f000-\U0001faff])",
    "byte-order mark": "[\ufeff]",
    "replacement character": "[\ufffd]",
    "private-use character": "[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]",
    "half of a surrogate pair": "[\ud800-\udfff]",
    "full-width letter or digit": "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _ODD.items()}
# All in one class, for which a text is searched several times faster than for one after the other.
_CLASSES = re.findall(r"\[([^]]*)", "".join(_ODD.values()))
_SUSPECTS = re.compile("[" + "".join(_CLASSES) + "]")
_PAIRED = dict(zip("《“‘「『（([【〈\"'", "》”’」』）)]】〉\"'", strict=True))
# Punctuation by Unicode, but parts of what is said: 80%, U.S., C++, 3′.
_MEANINGFUL = frozenset("%‰.#&@*+°′″")


def odd_characters(text: str) -> dict[str, str]:
    """What odd characters a text has: the name of each sort, and the first of it.

    >>> odd_characters("你好")
    {}
    >>> odd_characters("ＡＢ\\u200b")
    {'zero-width character': '\\u200b', 'full-width letter or digit': 'Ａ'}
    """
    if _SUSPECTS.search(text) is None:
        return {}
    found = {name: pattern.search(text) for name, pattern in _PATTERNS.items()}
    return {name: match[0] for name, match in found.items() if match is not None}


def folded(label: str) -> str:
    """A label without what is easily overlooked: case, space, full-width forms.

    >>> folded("Ｎews "), folded("n ews")
    ('news', 'news')
    """
    return "".join(unicodedata.normalize("NFKC", label).casefold().split())


def has_odd_edge(text: str) -> bool:
    """Whether an entity begins or ends with space or punctuation, brackets around it aside.

    >>> [has_odd_edge(text) for text in ("北京", "北京，", " 北京", "《家》", "（北京")]
    [False, True, True, False, True]
    """
    if len(text) > 1 and _PAIRED.get(text[0]) == text[-1]:
        return False
    return _is_edge(text[0], False) or _is_edge(text[-1], True)


def _is_edge(character: str, last: bool) -> bool:
    if character in _MEANINGFUL:
        return False
    # A bracket that closes may end an entity: 中国银行（香港）.
    if last and character in _PAIRED.values():
        return False
    return character.isspace() or unicodedata.category(character).startswith("P")
