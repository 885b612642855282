"""Keep what PaddleNLP and Hugging Face transformers make of the golden texts.

    python tests/golden/make_tokenization.py paddlenlp      # needs paddlenlp 2.8
    python tests/golden/make_tokenization.py transformers   # needs transformers

A folder named after the peer gets the files instead, to compare them with those kept here. Each
peer answers with its own `from_pretrained` on a folder that holds the vocabulary.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.golden import tokenization as golden


def paddlenlp_tokenizers(folder: Path) -> dict[str, Any]:
    from paddlenlp.transformers import ErnieTinyTokenizer, ErnieTokenizer

    made: dict[str, Any] = {}
    for name, vocabulary in golden.VOCABULARIES.items():
        if name.startswith("paddlenlp"):
            (folder / name).mkdir()
            shutil.copy(vocabulary, folder / name / "vocab.txt")
            made[name] = ErnieTokenizer.from_pretrained(str(folder / name))
    tiny = folder / "paddlenlp-ernie-tiny"
    shutil.copytree(golden.ERNIE_TINY, tiny)
    made[tiny.name] = ErnieTinyTokenizer.from_pretrained(str(tiny))
    return made


def transformers_tokenizers(folder: Path) -> dict[str, Any]:
    from transformers import BertTokenizer

    made: dict[str, Any] = {}
    for name, vocabulary in golden.VOCABULARIES.items():
        if name.startswith("transformers"):
            (folder / name).mkdir()
            shutil.copy(vocabulary, folder / name / "vocab.txt")
            settings = {"do_lower_case": not name.endswith("cased")}
            path = folder / name / "tokenizer_config.json"
            path.write_text(json.dumps(settings), encoding="utf-8")
            made[name] = BertTokenizer.from_pretrained(str(folder / name))
    return made


def cut(tokenizer: Any, pair: tuple[str, str], strategy: str, limit: int) -> Any:
    """A pair's answer; a pair that the strategy cannot cut has an empty one."""
    options = {"truncation": strategy, "max_length": limit}
    try:
        encoded = tokenizer(*pair, **options)
    except Exception as error:
        if "too short" in str(error):
            return [], []
        raise
    ids, types = encoded["input_ids"], encoded["token_type_ids"]
    if strategy != "do_not_truncate" and len(ids) > limit:
        return [], []  # PaddleNLP says in its log that it cannot
    return ids, types


def main() -> None:
    peer = sys.argv[1]
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else golden.FOLDER
    texts, pairs = golden.texts(), golden.pairs()
    with tempfile.TemporaryDirectory() as scratch:
        if peer == "paddlenlp":
            import paddlenlp as library

            made = paddlenlp_tokenizers(Path(scratch))
        else:
            import transformers as library

            made = transformers_tokenizers(Path(scratch))
        for name, tokenizer in made.items():
            ids, offsets = [], []
            has_offsets = not name.endswith("tiny")
            for text in texts:
                ids.append(tokenizer(text)["input_ids"])
                if has_offsets and len(text) <= golden.OFFSETS_UP_TO:
                    offsets.append(whole_offsets(tokenizer, text, peer))
                else:
                    offsets.append(None)
            answers = [
                cut(tokenizer, pair, *golden.CUTS[number % len(golden.CUTS)])
                for number, pair in enumerate(pairs)
            ]
            version = f"{peer} {library.__version__}, Python {sys.version.split()[0]}"
            path = output / f"{name}.npz"
            pair_ids, pair_types = (
                [list(part) for part in side] for side in zip(*answers, strict=True)
            )
            golden.write(path, version, ids, offsets, pair_ids, pair_types)
            print(
                f"{path.name}: {len(ids):,} texts, {len(pairs):,} pairs, {path.stat().st_size:,} B"
            )


def whole_offsets(tokenizer: Any, text: str, peer: str) -> list[tuple[int, int]] | None:
    """Every token's (start, end); None where PaddleNLP fails, as it does on some texts."""
    try:
        encoded = tokenizer(text, return_offsets_mapping=True)
    except Exception:
        if peer == "transformers":
            raise
        return None
    return [tuple(span) for span in encoded["offset_mapping"]]


if __name__ == "__main__":
    main()
