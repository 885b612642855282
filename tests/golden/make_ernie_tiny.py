"""Make a small ernie-tiny tokenizer, and keep what PaddleNLP's makes of varied texts.

    python tests/golden/make_ernie_tiny.py          # needs paddlenlp 2.8 and sentencepiece

The published files cannot be part of this repository; these are trained on the example's data.
"""

from __future__ import annotations

import io
import json
import pickle
import random
from pathlib import Path

import paddlenlp
import sentencepiece
from paddlenlp.transformers import ErnieTinyTokenizer

FOLDER = Path(__file__).parent / "ernie_tiny"
DATA = Path(__file__).parents[2] / "examples" / "crosswoz_intent" / "train.tsv"
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
    names = ("vocab.txt", "spm_cased_simp_sampled.model", "dict.wordseg.pickle")
    tokenizer = ErnieTinyTokenizer(*(str(FOLDER / name) for name in names))
    generator = random.Random(0)
    texts = [*VARIED, *generator.sample(sentences(), 200)]
    pairs = [(generator.choice(texts), generator.choice(texts)) for _ in range(40)]
    rows = []
    for text, second in [*((text, None) for text in texts), *pairs]:
        for limit in (None, 12):
            options = {} if limit is None else {"max_length": limit, "truncation": True}
            made = tokenizer(text, second, return_token_type_ids=True, **options)
            rows.append(
                {
                    "text": text,
                    "pair": second,
                    "max_seq_len": limit,
                    "input_ids": made["input_ids"],
                    "token_type_ids": made["token_type_ids"],
                }
            )
    lines = [json.dumps({"made_with": {"paddlenlp": paddlenlp.__version__}})]
    lines += [json.dumps(row, ensure_ascii=False) for row in rows]
    (FOLDER / "golden.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
