"""The encoder's parameters, by the names of `transformers`, from the configuration alone."""

from __future__ import annotations

from hub.models.ernie.config import ErnieConfig


def encoder_shapes(config: ErnieConfig) -> dict[str, tuple[int, ...]]:
    """Name (without the model's prefix) -> shape, in the layout of `transformers`: [out, in]."""
    hidden, wide, inner = config.hidden_size, config.intermediate_size, config.attention_size
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, hidden),
        "embeddings.position_embeddings.weight": (config.max_position_embeddings, hidden),
        "embeddings.token_type_embeddings.weight": (config.type_vocab_size, hidden),
    }
    if config.use_task_id:
        shapes["embeddings.task_type_embeddings.weight"] = (config.task_type_vocab_size, hidden)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (hidden,)

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        shapes[f"{name}.bias"] = (outputs,)

    norm("embeddings.LayerNorm")
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", hidden, inner)
        linear(f"{layer}.attention.output.dense", inner, hidden)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", hidden, wide)
        linear(f"{layer}.output.dense", wide, hidden)
        norm(f"{layer}.output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    return shapes
