"""Which column is the text and which the label: as the user says, or by the usual names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# In order of preference; compared without regard to case and space around.
TEXTS = (
    "text", "sentence", "文本", "句子", "content", "内容", "query", "question", "问题", "问句",
    "utterance", "title", "标题", "review", "comment", "评论", "text_a",
)  # fmt: skip
PAIRS = (
    ("text_a", "text_b"), ("sentence1", "sentence2"), ("query", "title"), ("text1", "text2"),
    ("question1", "question2"), ("premise", "hypothesis"), ("文本1", "文本2"), ("句子1", "句子2"),
)  # fmt: skip
LABELS = (
    "label", "labels", "标签", "类别", "分类", "category", "class", "intent", "意图", "target",
    "sentiment", "情感",
)  # fmt: skip
SEVERAL_LABELS = ("labels", "label", "标签", *LABELS[3:])
ENTITIES = ("entities", "实体", "spans", "slots", "label", "labels", "标签")
TOKENS = ("tokens", "words", "chars")
TAGS = ("ner_tags", "tags", "bio_tags", "slot_tags", "labels", "label", "slots")
INTENTS = ("intent", "意图")


@dataclass(frozen=True)
class Chosen:
    """The columns that are read.

    Attributes:
        text: the column of the text, or of its tokens.
        pair: the column of the second text, if texts are pairs.
        label: the column of the label, the labels, the entities or the tags.
        intent: the column of the intent, if that is beside the entities.
        tagged: whether `text` has tokens and `label` their tags.
    """

    text: str
    label: str
    pair: str | None = None
    intent: str | None = None
    tagged: bool = False

    def roles(self) -> dict[str, str]:
        """Role -> column, for people."""
        first, what = ("tokens", "tags") if self.tagged else ("text", "label")
        found = {first: self.text, "second text": self.pair, what: self.label}
        return {role: name for role, name in {**found, "intent": self.intent}.items() if name}


def find(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The column that goes by the first of `names` that one goes by."""
    by_name = {str(column).strip().casefold(): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), None)


def find_texts(columns: Sequence[str]) -> tuple[str | None, str | None]:
    """The column of the text and, if there is none of that name but two of a pair, the second."""
    plain = find(columns, TEXTS[:4])
    if plain is None:
        for first, second in PAIRS:
            found = find(columns, [first]), find(columns, [second])
            if all(found):
                return found
    return plain or find(columns, TEXTS), None
