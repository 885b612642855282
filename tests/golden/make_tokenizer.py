"""Reduce PaddleNLP's own tokenizations to what a test needs.

    python tests/golden/make_tokenizer.py golden.jsonl vocab.txt NAME OUTPUT_FOLDER

`golden.jsonl` holds a row a text or pair, as PaddleNLP 2.8.1 gave it: `tok` (the tokenizer's name),
`text`, perhaps `text_pair` and `max_length`, `input_ids`, `token_type_ids` and perhaps
`offset_mapping`. `vocab.txt` is the full vocabulary of the tokenizer NAME. Ids become tokens. Kept
are that tokenizer's rows, and the entries that could occur in them: every entry all of whose
characters occur in some text, so that a longest match can still go wrong.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path


def main() -> None:
    golden, vocabulary, name, folder = (*map(Path, sys.argv[1:3]), sys.argv[3], Path(sys.argv[4]))
    rows = [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["tok"] == name]
    texts = [row[field] for row in rows for field in ("text", "text_pair") if field in row]
    seen = set("#").union(*texts, *(unicodedata.normalize("NFD", t.lower()) for t in texts))
    special = {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"}
    lines = vocabulary.read_text(encoding="utf-8").split("\n")
    entries = [line.split("\t")[0] for line in lines if line]
    kept = [e for e in entries if e in special or set(e.removeprefix("##")) <= seen]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{e}\n" for e in kept), encoding="utf-8")
    fields = ("text", "text_pair", "max_length", "tokens", "token_type_ids", "offset_mapping")
    with (folder / "golden.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            row["tokens"] = [entries[number] for number in row["input_ids"]]
            reduced = {field: row[field] for field in fields if field in row}
            file.write(json.dumps(reduced, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
