"""Open a folder that this package wrote in Hugging Face transformers and compare the answers.

    python -c "
    import json, sys, hub
    module = hub.Module(directory=sys.argv[1])
    texts = open(sys.argv[2], encoding='utf-8').read().splitlines()
    from hub.tasks.answering import run
    from hub.tasks.passages import read
    passages = read(module.tokenizer, texts, module.max_seq_len)
    outputs = run(module.task, module.tokenizer, module.compute, passages, 8)
    logits = [output.tolist() for output in outputs]
    ids = [p.windows[0].encoding.input_ids for p in passages]
    json.dump({'texts': texts, 'ids': ids, 'logits': logits}, open('ours.json', 'w'))
    " runs/travel texts.txt
    python tests/golden/check_transformers.py runs/travel ours.json

The second command needs torch and transformers, which this package does not install.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main() -> None:
    folder, answers = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    worst, same_ids = 0.0, 0
    for text, ids, logits in zip(answers["texts"], answers["ids"], answers["logits"], strict=True):
        inputs = tokenizer(text, truncation=True, return_tensors="pt")
        same_ids += inputs["input_ids"][0].tolist() == ids
        with torch.no_grad():
            theirs = model(**inputs).logits[0]
        worst = max(worst, (theirs - torch.tensor(logits)).abs().max().item())
    print(f"{type(model).__name__}, {type(tokenizer).__name__}: {len(answers['texts'])} texts")
    print("missing or unexpected weights:", report["missing_keys"], report["unexpected_keys"])
    print("labels:", list(model.config.id2label.values())[:3], "...")
    print(f"same token ids: {same_ids}; largest difference of a logit: {worst:.1e}")


if __name__ == "__main__":
    main()
