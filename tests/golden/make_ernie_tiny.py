"""Make a small ernie-tiny tokenizer, and keep what PaddleNLP's makes of varied texts.

    python tests/golden/make_ernie_tiny.py          # needs paddlenlp 2.8 and sentencepiece

The published files cannot be part of this repository; these are trained on the example's data.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
import tempfile
from pathlib import Path

import paddlenlp
import sentencepiece
from paddlenlp.transformers import ErnieTinyTokenizer

FOLDER = Path(__file__).parent / "ernie_tiny"
DATA = Path(__file__).parents[2] / "examples" / "crosswoz_intent" / "train.tsv"
# "short" answers are cut to this many tokens.
LIMIT = 12
SPECIAL_TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
VARIED = [
    "",
    " ",
    "   \t \n ",
    "北京",
    " 北京  的 酒店 ",
    "I want a hotel near 天安门 please, OK?",
    "iPhone 15 Pro Max多少钱",
    "￥1,299.00元/晚",
    "１２３ＡＢＣ，。！？",
    "①②③ⅷ㎡㍿",
    "ﾊﾟｿｺﾝ パソコン ぱそこん",
    "繁體中文的酒店電話",
    "👍好的👨‍👩‍👧‍👦家庭房🇨🇳",
    "零\u200b宽\u200d空\ufeff格",
    "控\x00制\x07字\x1b符",
    "換\r\n行\u2028分\u2029段",
    "İstanbul ΑΣ ß ﬁ Ǆ",
    "cafe\u0301 café",
    "https://example.com/a?b=c#d 电话010-12345678",
    "𠮷野家𪚥",
    "[MASK] [CLS] 酒店 [SEP]",
    "今天天气[MASK]好",
    " \t[MASK]\u3000 [mask] [UNK]的[PAD][[SEP]]",
    "[MASK",
    "北京\x85[MASK]\x85酒店 \x85",  # white space for Python, a character for SentencePiece
    "a" * 200,
    "酒店" * 150,
    "!@#$%^&*()_+-=[]{}|;':\",./<>?",
    "──────",
    "？？？！！！。。。",
    "的的的的的的的",
    "WiFi密码是ABC123吗",
    "\u3000全角空格\u3000",
    "non\u00a0breaking",
    "０.５折",
    "北京·上海—广州…深圳",
    "我想查一下北京烤鸭店的電話號碼，謝謝！",
    "この近くに駅はありますか。カラオケもあります",
    "서울 호텔 예약",
    "Привет, где гостиница?",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ σας",
    "เดินทางถึงโรงแรม",
    "فندق قريب",
    "2024年1月1日 08:30-22:00，人均￥68.5",
    "12,345.67% ½ ² ℃ № ™ ㎏",
    "☎️010－８８８８８８８８ ✓ ★★★★☆",
    "👩🏽\u200d💻🏳️\u200d🌈1️⃣",
    "a\u0301\u0302\u0303b\u0308",
    "ﬃ ﷺ ㍿ ㌀ ㊙ ㈱",
    "\u2581北\u2581京\u2581",
    "\ufffd\ufffe\uffff\ue000",
    "\u00ad软\u2060连\u061c字\u202e符\u202c",
    "\x1c\x1d\x85\x7f\x9f",
    "ẞß Straße STRASSE ŉ ǰ",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz",
    "aaaa bbbb\tcccc\u00a0dddd\u2003eeee",
    "这家酒店有wifi吗？WIFI、Wi-Fi、ＷｉＦｉ都行",
    "请帮我找一家评分4.5分以上、价格500-600元、提供叫醒服务的酒店。" * 40,
    "好 " * 300,
    "\n".join(["第一行", "第二行", "", "第四行"]),
]


def sentences() -> list[str]:
    rows = DATA.read_text(encoding="utf-8").splitlines()[1:]
    return [row.split("\t")[0] for row in rows]


def make_files() -> None:
    texts = sentences()
    counts: dict[str, int] = {}
    for text in texts:
        for length in range(2, 6):
            for start in range(len(text) - length + 1):
                word = text[start : start + length].lower()
                counts[word] = counts.get(word, 0) + 1
    words = sorted(word for word, count in counts.items() if count >= 25)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(" ".join(text.lower()) + " " + text.lower() for text in texts),
        model_writer=model,
        vocab_size=1400,
        character_coverage=0.98,
        minloglevel=2,
    )
    (FOLDER / "spm_cased_simp_sampled.model").write_bytes(model.getvalue())
    with (FOLDER / "dict.wordseg.pickle").open("wb") as file:
        pickle.dump(dict.fromkeys(words, 1), file, protocol=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    # Some pieces are left out, so that there are unknown ones.
    entries = SPECIAL_TOKENS + [p for n, p in enumerate(pieces) if n > 2 and n % 11]
    (FOLDER / "vocab.txt").write_text("".join(f"{e}\n" for e in entries), encoding="utf-8")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    make_files()
    # As its users make it: the constructor alone knows no special tokens in a text.
    with tempfile.TemporaryDirectory() as folder:
        for path in FOLDER.iterdir():
            shutil.copy(path, folder)
        tokenizer = ErnieTinyTokenizer.from_pretrained(folder)
    generator = random.Random(0)
    texts = [*VARIED, *generator.sample(sentences(), 200)]
    pairs = [(generator.choice(texts), generator.choice(texts)) for _ in range(80)]
    rows = []
    for text, second in [*((text, None) for text in texts), *pairs]:
        whole = tokenizer(text, second)
        short = tokenizer(text, second, max_length=LIMIT, truncation=True)
        parts = [text] if second is None else [text, second]
        rows.append(
            {
                "text": text,
                "pair": second,
                "tokens": [tokenizer.tokenize(part) for part in parts],
                "whole": [whole["input_ids"], whole["token_type_ids"]],
                "short": [short["input_ids"], short["token_type_ids"]],
            }
        )
    lines = [json.dumps({"made_with": {"paddlenlp": paddlenlp.__version__}, "limit": LIMIT})]
    lines += [json.dumps(row, ensure_ascii=False) for row in rows]
    (FOLDER / "golden.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
