"""Make small models with PaddleNLP, and keep what they answer.

    python tests/golden/make_paddlenlp.py          # needs paddlenlp 2.8 and paddlepaddle

Each case is a folder in `tests/golden/paddlenlp/` as PaddleNLP publishes one:
`model_state.pdparams` (a pickle written by `paddle.save`), `config.json`, `vocab.txt`, and
`golden.json` with padded batches and the outputs for them. The weights are drawn wide, so that a
wrong activation, epsilon, name or transposition shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddlenlp
from paddlenlp import transformers as nlp

FOLDER = Path(__file__).parent / "paddlenlp"
SPECIAL_TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
CHARACTERS = "今天气好吗我要听一首歌买张票去北京明下雨酒店电话多少是的不有人这中大为上个国"
SHAPE: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "vocab_size": 64,
    "pad_token_id": 0,
}


def cases() -> dict[str, paddle.nn.Layer]:
    """The models, by the name of their folder."""
    ernie_3 = {"hidden_act": "gelu", "use_task_id": True, "type_vocab_size": 4}
    classes = {"num_labels": 3}
    return {
        "ernie-1.0": nlp.ErnieModel(nlp.ErnieConfig(**SHAPE, hidden_act="relu")),
        "ernie-3.0": nlp.ErnieForMaskedLM(nlp.ErnieConfig(**SHAPE, **ernie_3)),
        "bert-wwm": nlp.BertForSequenceClassification(nlp.BertConfig(**SHAPE, **classes)),
        "roberta-wwm": nlp.RobertaModel(nlp.RobertaConfig(**SHAPE)),
        "ernie-gram": nlp.ErnieGramModel(
            nlp.ErnieGramConfig(**SHAPE, embedding_size=24, hidden_act="gelu")
        ),
    }


def batches() -> list[dict[str, np.ndarray]]:
    """Padded batches with texts of several lengths and two segments."""
    generator = np.random.default_rng(7)
    made = []
    for lengths in ([5], [3, 9, 17], [32, 2]):
        longest = max(lengths)
        ids = generator.integers(5, 60, (len(lengths), longest))
        mask = np.array([[int(t < n) for t in range(longest)] for n in lengths])
        segments = np.array([[int(n // 2 <= t < n) for t in range(longest)] for n in lengths])
        made.append(
            {"input_ids": ids * mask, "token_type_ids": segments * mask, "attention_mask": mask}
        )
    return made


def outputs(model: paddle.nn.Layer, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The encoder's two outputs, and the logits of a classifier."""
    inputs = {name: paddle.to_tensor(value) for name, value in batch.items()}
    if isinstance(model, nlp.RobertaModel):
        # The published weights are BERT's: positions from 0. PaddleNLP's class counts from 1.
        length = batch["input_ids"].shape[1]
        inputs["position_ids"] = (
            paddle.arange(length).unsqueeze(0).expand([len(batch["input_ids"]), -1])
        )
    encoder = model
    for name in ("ernie", "bert", "roberta", "ernie_gram"):
        encoder = getattr(encoder, name, encoder)
    with paddle.no_grad():
        sequence, pooled = encoder(**inputs)[:2]
        answer = {"sequence": sequence.numpy(), "pooled": pooled.numpy()}
        if isinstance(model, nlp.BertForSequenceClassification):
            answer["logits"] = model(**inputs).numpy()
        if isinstance(model, nlp.ErnieForMaskedLM) and len(batch["input_ids"]) == 1:
            answer["logits"] = model(**inputs).numpy()
    return answer


def save(model: paddle.nn.Layer, folder: Path, name: str) -> None:
    """Write the folder; one case in the layout that `paddle.save` had before Paddle 2.1."""
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    if name == "ernie-1.0":
        # Arrays beside the table of the parameters' own names.
        old: dict[str, Any] = {key: tensor.numpy() for key, tensor in state.items()}
        old["StructuredToParameterName@@"] = {key: tensor.name for key, tensor in state.items()}
        paddle.save(old, str(folder / "model_state.pdparams"), protocol=2)
    else:
        paddle.save(state, str(folder / "model_state.pdparams"))
    model.config.save_pretrained(str(folder))
    vocabulary = "".join(f"{entry}\n" for entry in [*SPECIAL_TOKENS, *CHARACTERS])
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")


def main() -> None:
    for number, (name, model) in enumerate(cases().items()):
        generator = np.random.default_rng(number)
        for parameter_name, parameter in model.named_parameters():
            # Around 1 for layer norms: scales around 0 would make every answer alike.
            mean = 1.0 if "norm" in parameter_name and "weight" in parameter_name else 0.0
            parameter.set_value(generator.normal(mean, 0.3, parameter.shape).astype(np.float32))
        model.eval()
        folder = FOLDER / name
        save(model, folder, name)
        golden = []
        for batch in batches():
            golden.append({k: v.tolist() for k, v in {**batch, **outputs(model, batch)}.items()})
        document = {
            "made_with": {"paddlenlp": paddlenlp.__version__, "paddle": paddle.__version__},
            "batches": golden,
        }
        (folder / "golden.json").write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main()
