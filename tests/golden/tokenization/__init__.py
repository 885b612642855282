# ruff: noqa: E501  (samples are easier to read in long lines)
"""Texts of every kind that a tokenizer meets, and what the originals make of them.

The texts are made here, from a seed and the sentences of the example, by every library that reads
them: they need not be stored. `make_tokenization.py` writes the answers, one file a tokenizer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
ERNIE_TINY = FOLDER.parent / "ernie_tiny"
# Tokenizer -> its vocabulary; whose answers are kept is in the file's name.
VOCABULARIES = {
    "paddlenlp-ernie-1.0": FOLDER / "vocab" / "ernie-1.0.txt",
    "paddlenlp-ernie-3.0": FOLDER / "vocab" / "ernie-3.0.txt",
    "transformers-bert": FOLDER / "vocab" / "bert-chinese.txt",
    "transformers-bert-cased": FOLDER / "vocab" / "bert-chinese.txt",
}
# Offsets of longer texts are not kept: PaddleNLP's take quadratic time.
OFFSETS_UP_TO = 1000
# (strategy, limit) for the pairs, in turn.
CUTS = [
    *(("longest_first", limit) for limit in (16, 17, 24, 31, 64, 512)),
    ("only_first", 40),
    ("only_second", 40),
    ("do_not_truncate", 16),
]

_EXAMPLE = FOLDER.parents[2] / "examples" / "crosswoz_intent"
_TRADITIONAL = "國語電視臺灣學習歷史觀光飯店餐廳門票車輛開發軟體訊號無線網際網路請問這裡離機場多遠"
_RARE = "𠮷𪚥𠀀𠂇𡃁𢡊𣄃𤭢𥻘𦈘𧐖𨨏𩸽𪀚𪜀𫝀𫞩𫠝𫠠𫢸𬀩𬺰㐀㐂㑇㒲䀀䲣䶮龘靐齉犇猋骉鱻羴麤"
_KANA = "こんにちは世界ありがとうカタカナテストラーメン東京タワーひらがなﾊﾝｶｸｶﾅｶﾞﾊﾟー〜ゝヽ"
_KOREAN = "한국어안녕하세요서울특별시대한민국가각힣ㄱㅏㅎ"
_FULL_WIDTH = "ＡＢＣｘｙｚ０１２３！？，．：；（）［］｛｝＠＃＄％＾＆＊－＋＝～｀＂＇＼｜＜＞／"
_PUNCTUATION = (
    "，。、；：？！…—·ˉ¨‘’“”々～‖∶＂＇｀｜〃〔〕〈〉《》「」『』．〖〗【】（）［］｛｝〝〞﹏﹋﹍"
)
_SYMBOLS = "￥$€£¥₩¢©®™°℃℉№§¶†‡•◦※★☆○●◎◇◆□■△▲→←↑↓⇒⇔∀∂∈∑√∞∠∧∨∩∪∫≈≠≡≤≥①②⑩㈠㊣Ⅰ Ⅻⅳ㎡㎞½²³¹⁰₂µºªØøŋƱ〇"
_EMOJI = [
    "😀", "😂", "🤣", "👍", "👍🏻", "👨‍👩‍👧‍👦", "👩🏽‍💻", "🏳️‍🌈", "🇨🇳", "🇺🇸", "1️⃣", "#️⃣", "❤️", "❤",
    "☺️", "☺", "🐶", "🀄", "🃏", "🧑‍🚀", "🫠", "🥹", "🪄", "✅", "✔️", "⚠️", "♻️", "‼️", "㊙️", "🈚",
]  # fmt: skip
_CONTROLS = [
    "\x00", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b", "\x1c", "\x1f", "\x7f", "\x80", "\x85",
    "\x9f", "\xa0", "\xad", "\u034f", "\u061c", "\u115f", "\u180e", "\u1680", "\u2000", "\u2003",
    "\u2009", "\u200a", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2028", "\u2029",
    "\u202a", "\u202e", "\u202f", "\u205f", "\u2060", "\u2063", "\u2066", "\u2069", "\u3000",
    "\u3164", "\ufe0e", "\ufe0f", "\ufeff", "\ufff9", "\ufffc", "\ufffd", "\ue000", "\uf8ff", "\t",
    "\n", "\r", "\r\n", "  ",
]  # fmt: skip
_ACCENTED = [
    "Café", "naïve", "Ünïcödé", "Å", "Ångström", "ÀÉÎÕÜ", "Việt", "Nguyễn", "İstanbul", "ıI",
    "Straße", "STRASSE", "ẞ", "Œuvre", "Æon", "Łódź", "Þór", "đĐ", "ñandú", "e\u0301", "a\u0300\u0323",
    "n\u0303", "q\u0307\u0323", "Ǆ", "ǅ", "ﬁ", "ﬀ", "Ŀ", "ŉ", "Ω", "K", "ſ", "ΑΒΓ", "ΣΊΣΥΦΟΣ", "Σ",
    "ΟΔΟΣ", "ΣΣ", "aΣb", "λόγος", "ΛΌΓΟΣ", "Привет", "ПРИВЕТ", "ЁЖ", "Ѐ", "й", "שלום", "مرحبا", "नमस्ते",
    "สวัสดี", "ქართული", "ᲥᲐᲠᲗᲣᲚᲘ", "Ꭰꭰ",
]  # fmt: skip
_CODE = [
    "https://github.com/PaddlePaddle/ERNIE?x=1&y=2#L10", "http://例子.测试/路径?查询=1", "ftp://a.b/c_d-e",
    "someone@example.com", "C:\\Users\\用户\\桌面", "/usr/local/bin/python3.11", "192.168.0.1:8080",
    "def f(x): return x**2 + 1", "if (a != b && c <= d) { e++; }", "<div class=\"x\">文本</div>",
    "SELECT * FROM 表 WHERE id=1;", "{\"键\": [1, 2.5, null]}", "x_i^2", "a`b`c", "~$%^&*", "C++", "C#",
    "U.S.A.", "e.g.", "I'm don't", "第#3名", "@某人 #话题#", "==>", "...", "——", "snake_case", "camelCase",
    "版本v2.3.1-beta+build.5", "2024-05-06T07:08:09+08:00", "50%", "-3.5°C", "￥1,299.00", "10:30~12:00",
    "5G/4G", "100km/h", "3×4=12", "1/2", "6.02e23", "0xFF", "MP3", "Wi-Fi", "USB-C", "A股B站", "iPhone15ProMax",
]  # fmt: skip
_SPECIAL = [
    "[MASK]", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[mask]", "[Mask]", "[ MASK ]", "[MASK", "MASK]", "[[MASK]]",
    "[unused1]", "<s>", "##", "##好", "[CLS][SEP]",
]  # fmt: skip
# One or two of each kind, whole.
_SAMPLES = [
    "He was a puppeteer", "今天天气很好", "iPhone 14 Pro Max 真香！！！", "2021年12月31日，GDP增长8.1%。", "C++ 和 C# 哪个好？",
    "价格：￥1,299.00（含税）", "①②③ ⑩ Ⅳ ㈱ ℃ № ™ ®", "全角ＡＢＣ１２３", "繁體中文測試：臺灣", "Ünïcödé café naïve", "ÀÉÎÕÜ àéîõü",
    "Σίσυφος ΣΊΣΥΦΟΣ", "İstanbul ISTANBUL", "日本語テスト かな カナ", "한국어 테스트", "Привет мир", "العربية", "😀👍🏻 emoji测试",
    "a\x09b\x0ac\x0dd", "a\u3000b\xa0c", "\u200b零宽\u200d字符\ufeff", "[MASK]天天气[SEP]好[CLS]x[PAD]", "[mask]小写 [Mask]",
    "##北京 ##ing ing", "https://github.com/PaddlePaddle/PaddleHub?x=1&y=2", "user@example.com", "hello_world foo-bar",
    "$100 $ US$5", "“引号”‘单引号’「」『』", "……——～·", "x" * 120, "啊啊啊啊啊啊啊啊啊啊", "supercalifragilisticexpialidocious",
    "3.1415926", "10%", "A股B站", "ＰＭ２．５", "㎡ ㎞ ½ ²", "\x00控制\x07字符", "�替换", "𠮷野家 𪚥", "微信wx123abc号", "PaddleNLP是飞桨NLP",
    "I'm don't", "e.g. U.S.A.", "中 文 空 格", "A", "我", "，", "1", "iPhone多少钱", "啊" * 30, "短", "明天呢？", "3999元", "哦" * 50,
    "长" * 70,
]  # fmt: skip
# Blocks all of whose characters were assigned long ago.
_BLOCKS = [
    (0x20, 0x7E), (0xA1, 0x17F), (0x180, 0x24F), (0x250, 0x2AF), (0x2B0, 0x36F), (0x391, 0x3A1),
    (0x400, 0x52F), (0x5D0, 0x5EA), (0x621, 0x64A), (0x904, 0x939), (0xE01, 0xE3A), (0x10A0, 0x10C5),
    (0x1E00, 0x1EFF), (0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x20B8), (0x2100, 0x214F),
    (0x2150, 0x2188), (0x2190, 0x23E7), (0x2460, 0x26FF), (0x2701, 0x27BF), (0x2900, 0x2AFF),
    (0x3001, 0x303F), (0x3041, 0x3096), (0x3099, 0x30FF), (0x3105, 0x312C), (0x3131, 0x318E),
    (0x3200, 0x321E), (0x3220, 0x3243), (0x3280, 0x32FE), (0x3300, 0x33FF), (0x3400, 0x4DB5),
    (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xF900, 0xFA2D), (0xFE30, 0xFE4F), (0xFF01, 0xFFBE),
    (0x1F300, 0x1F320), (0x1F400, 0x1F43E), (0x1F600, 0x1F64F), (0x20000, 0x2A6D6), (0x2A700, 0x2B734),
    (0x2B740, 0x2B81D), (0x2B820, 0x2CEA1), (0x2F800, 0x2FA1D),
]  # fmt: skip


class _Source:
    """Draws that are the same with every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def number(self, low: int, high: int) -> int:
        return low + int(self._random() * (high - low + 1))

    def one(self, items: list[str] | str) -> str:
        return items[self.number(0, len(items) - 1)]

    def some(self, items: list[str] | str, low: int, high: int) -> list[str]:
        return [self.one(items) for _ in range(self.number(low, high))]


def sentences() -> list[str]:
    """The example's sentences: 6,730 of travellers, each once."""
    rows = []
    for name in ("train", "dev", "test"):
        lines = (_EXAMPLE / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        rows += [line.split("\t")[0] for line in lines]
    return list(dict.fromkeys(rows))


def texts() -> list[str]:
    """More than 10,000 lines."""
    plain = sentences()
    source = _Source(17)
    made = [*plain]
    made += ["", " ", "   ", "\t", "\n", "\u3000", "\u200b", "\ufeff", "\x00", "\xa0\u3000 "]
    pools: list[Callable[[], Iterator[str]]] = [
        lambda: iter(source.some(_TRADITIONAL, 2, 30)),
        lambda: iter(source.some(_RARE, 1, 12)),
        lambda: iter(source.some(_KANA, 2, 20)),
        lambda: iter(source.some(_KOREAN, 2, 16)),
        lambda: iter(source.some(_FULL_WIDTH, 1, 16)),
        lambda: iter(source.some(_PUNCTUATION, 1, 12)),
        lambda: iter(source.some(_SYMBOLS, 1, 10)),
        lambda: iter(source.some(_EMOJI, 1, 5)),
        lambda: iter(source.some(_CONTROLS, 1, 6)),
        lambda: iter(source.some(_ACCENTED, 1, 3)),
        lambda: iter(source.some(_CODE, 1, 2)),
        lambda: iter(source.some(_SPECIAL, 1, 2)),
        lambda: iter(_digits(source)),
        lambda: iter(_characters(source)),
    ]
    for _ in range(3500):
        # A piece of a sentence, a kind of its own, another, with and without spaces between.
        parts = [_piece(source, plain)]
        for _ in range(source.number(1, 3)):
            parts.append("".join(pools[source.number(0, len(pools) - 1)]()))
            parts.append(_piece(source, plain))
        first = source.number(0, 2)  # sometimes without the Chinese before, or after
        made.append(source.one(["", "", " "]).join(parts[first == 0 : len(parts) - (first == 1)]))
    for length in (99, 100, 101, 102, 200):
        made += ["a" * length, "é" * length, "中" * length, f"好{'b' * length}的", "9" * length]
    made += ["".join(plain[:9000])[:100_000], "abc 123，" * 12_500, "x" * 100_000]
    made += ["😀" * 20_000 + "￥" * 30_000 + " " * 50_000]
    return made + [sample for sample in _SAMPLES if sample not in made]


def _piece(source: _Source, plain: list[str]) -> str:
    sentence = source.one(plain)
    start = source.number(0, max(0, len(sentence) - 2))
    return sentence[start : start + source.number(0, 12)]


def _digits(source: _Source) -> list[str]:
    units = [
        "元",
        "km",
        "公斤",
        "℃",
        "%",
        "万",
        "GB",
        "号",
        "年",
        "月",
        "日",
        ":",
        "-",
        ".",
        ",",
        "/",
        "㎡",
    ]
    made = []
    for _ in range(source.number(1, 5)):
        made += [str(source.number(0, 10 ** source.number(1, 9))), source.one(units)]
    return made


def _characters(source: _Source) -> list[str]:
    made = []
    for _ in range(source.number(1, 8)):
        low, high = _BLOCKS[source.number(0, len(_BLOCKS) - 1)]
        made += [chr(source.number(low, high)) for _ in range(source.number(1, 3))]
    return made


def pairs() -> list[tuple[str, str]]:
    """1,200 pairs, many of texts as long as each other."""
    source = _Source(23)
    short = [text for text in texts() if len(text) < 200 and text not in _SAMPLES]
    made = []
    for number in range(1200):
        first = source.one(short)
        if number % 3 == 0:
            second = first[::-1]
        elif number % 3 == 1:
            second = source.one(short)
        else:
            second = source.one(short) * 3
        made.append((first, second))
    return made


# --- keeping answers -----------------------------------------------------------------------------


def write(
    path: Path,
    made_with: str,
    ids: list[list[int]],
    offsets: list[list[tuple[int, int]] | None],
    pair_ids: list[list[int]],
    pair_types: list[list[int]],
) -> None:
    """Keep a tokenizer's answers: ids, offsets, and of the pairs ids and segments."""
    flat = [span for spans in offsets if spans is not None for span in spans]
    starts = np.array([start for start, _ in flat], np.int64)
    np.savez_compressed(
        path,
        made_with=made_with,
        ids=np.array([i for row in ids for i in row], np.uint16),
        lengths=np.array([len(row) for row in ids], np.int32),
        # Differences are small and alike, which compresses.
        starts=np.diff(starts, prepend=0).astype(np.int16),
        widths=np.array([end - start for start, end in flat], np.int16),
        spans=np.array([-1 if spans is None else len(spans) for spans in offsets], np.int32),
        pair_ids=np.array([i for row in pair_ids for i in row], np.uint16),
        pair_types=np.array([i for row in pair_types for i in row], np.uint8),
        pair_lengths=np.array([len(row) for row in pair_ids], np.int32),
    )


class Answers:
    """What `write` kept."""

    def __init__(self, path: Path) -> None:
        data = np.load(path)
        self.made_with = str(data["made_with"])
        self.ids = _split(data["ids"], data["lengths"])
        starts = np.cumsum(data["starts"].astype(np.int64))
        spans = np.stack([starts, starts + data["widths"]], axis=1)
        counts = data["spans"]
        kept = iter(_split(spans, np.maximum(counts, 0)))
        self.offsets = [
            None if count < 0 else [tuple(span) for span in part]
            for count, part in zip(counts, kept, strict=True)
        ]
        self.pair_ids = _split(data["pair_ids"], data["pair_lengths"])
        self.pair_types = _split(data["pair_types"], data["pair_lengths"])


def _split(values: np.ndarray, lengths: np.ndarray) -> list[list]:
    return [part.tolist() for part in np.split(values, np.cumsum(lengths)[:-1])]
