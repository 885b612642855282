"""Make small models with Hugging Face transformers, and keep what they answer.

    python tests/golden/make_transformers.py          # needs torch and transformers

Each case is a folder in `tests/golden/transformers/`: the model as `save_pretrained` writes it, a
`vocab.txt`, and `golden.json` with padded batches and the outputs for them. The weights are drawn
wide (standard deviation 0.3), so that a wrong activation, epsilon or transposition shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ErnieConfig,
    ErnieForSequenceClassification,
    ErnieModel,
    PreTrainedModel,
)

FOLDER = Path(__file__).parent / "transformers"
SPECIAL_TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
CHARACTERS = "今天气好吗我要听一首歌买张票去北京明下雨酒店电话多少是的不有人这中大为上个国"
LABELS = {0: "天气", 1: "音乐", 2: "车票"}
SHAPE: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "vocab_size": 64,
}
LABELLED = {"id2label": LABELS, "label2id": {label: n for n, label in LABELS.items()}}


def cases() -> dict[str, PreTrainedModel]:
    """The models, by the name of their folder."""
    ernie_3 = {"hidden_act": "gelu", "use_task_id": True, "layer_norm_eps": 1e-5}
    return {
        "ernie-1.0": ErnieForSequenceClassification(
            ErnieConfig(**SHAPE, **LABELLED, hidden_act="relu")
        ),
        "ernie-3.0": ErnieForSequenceClassification(ErnieConfig(**SHAPE, **LABELLED, **ernie_3)),
        "bert": BertForSequenceClassification(BertConfig(**SHAPE, **LABELLED)),
        "bare-encoder": ErnieModel(ErnieConfig(**SHAPE, **ernie_3)),
    }


def batches() -> list[dict[str, torch.Tensor]]:
    """Padded batches with texts of several lengths and two segments."""
    generator = torch.Generator().manual_seed(7)
    made = []
    for lengths in ([5], [3, 9, 17], [32, 2]):
        longest = max(lengths)
        ids = torch.randint(5, 60, (len(lengths), longest), generator=generator)
        mask = torch.tensor([[int(t < n) for t in range(longest)] for n in lengths])
        segments = torch.tensor([[int(n // 2 <= t < n) for t in range(longest)] for n in lengths])
        made.append(
            {"input_ids": ids * mask, "token_type_ids": segments * mask, "attention_mask": mask}
        )
    return made


def make_bin(model: PreTrainedModel, path: Path) -> None:
    """Keep the weights as PyTorch's pickle too, with a strided tensor, a bfloat16 one, and the
    names of layer norms in old files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    word = "bert.embeddings.word_embeddings.weight"
    state[word] = state[word].t().contiguous().t()
    state["extra"] = torch.tensor([0.5, -2.0]).bfloat16()
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for name in list(state):
        for new, former in old.items():
            if name.endswith(new):
                state[name.replace(new, former)] = state.pop(name)
    torch.save(state, path)


def main() -> None:
    for number, (name, model) in enumerate(cases().items()):
        torch.manual_seed(number)
        for parameter_name, parameter in model.named_parameters():
            # Around 1 for layer norms: scales around 0 would make every answer alike.
            mean = 1.0 if parameter_name.endswith("LayerNorm.weight") else 0.0
            torch.nn.init.normal_(parameter, mean=mean, std=0.3)
        model.eval()
        folder = FOLDER / name
        model.save_pretrained(folder)
        vocabulary = [*SPECIAL_TOKENS, *CHARACTERS]
        if name == "bert":
            make_bin(model, FOLDER / "bert-bin" / "pytorch_model.bin")
        (folder / "vocab.txt").write_text("".join(f"{e}\n" for e in vocabulary), encoding="utf-8")
        golden = []
        for batch in batches():
            with torch.no_grad():
                output = model(**batch)
            outputs = (
                {"logits": output.logits}
                if hasattr(output, "logits")
                else {"sequence": output.last_hidden_state, "pooled": output.pooler_output}
            )
            golden.append({k: v.tolist() for k, v in {**batch, **outputs}.items()})
        document = {
            "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
            "batches": golden,
        }
        (folder / "golden.json").write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main()
