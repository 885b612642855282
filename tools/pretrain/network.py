"""`ernie-pocket-zh` in PyTorch, as it is pretrained: without dropout and without padding."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

HIDDEN, LAYERS, HEADS, FEED_FORWARD, POSITIONS = 312, 4, 12, 1248, 512
HEAD = HIDDEN // HEADS
# Of the embeddings' dimensions the last ones say where a token stands, the others what it is.
PLACES = 26
_EPSILON = 1e-12
# What the first layer's heads look at before anything is learned; the others look anywhere.
_OFFSETS = (-4, -3, -2, -1, 1, 2, 3, 4)


class Layer(nn.Module):
    """A layer of the encoder, its norms after the sums."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.out = nn.Linear(HIDDEN, HIDDEN)
        self.attention_norm = nn.LayerNorm(HIDDEN, eps=_EPSILON)
        self.up = nn.Linear(HIDDEN, FEED_FORWARD)
        self.down = nn.Linear(FEED_FORWARD, HIDDEN)
        self.output_norm = nn.LayerNorm(HIDDEN, eps=_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, _ = x.shape
        split = self.qkv(x).view(rows, length, 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        if x.is_cuda:  # its fused kernels want heads of a multiple of 8
            split = functional.pad(split, (0, -HEAD % 8))
        mixed = functional.scaled_dot_product_attention(*split, scale=HEAD**-0.5)
        mixed = mixed[..., :HEAD].transpose(1, 2).reshape(rows, length, HIDDEN)
        x = self.attention_norm(x + self.out(mixed))
        return self.output_norm(x + self.down(functional.gelu(self.up(x))))


class Pocket(nn.Module):
    """The encoder with two heads: what stands at a mask, and what words a text has.

    The second head lets `[CLS]` learn to stand for its text, which masks alone do not ask of it.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.word = nn.Embedding(vocabulary, HIDDEN)
        self.position = nn.Embedding(POSITIONS, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=_EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.pooler = nn.Linear(HIDDEN, HIDDEN)
        self.bag_bias = nn.Parameter(torch.zeros(vocabulary))
        self.transform = nn.Linear(HIDDEN, HIDDEN)
        self.transform_norm = nn.LayerNorm(HIDDEN, eps=_EPSILON)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def encode(self, ids: torch.Tensor) -> torch.Tensor:
        """The last layer's output for ids [B, T], [B, T, D]."""
        x = self.norm(self.word(ids) + self.position.weight[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x)
        return x

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores over the vocabulary for masked tokens [N, D], [N, V]."""
        x = self.transform_norm(functional.gelu(self.transform(hidden)))
        return functional.linear(x, self.word.weight, self.bias)

    def losses(
        self,
        ids: torch.Tensor,
        masked: torch.Tensor,
        targets: torch.Tensor,
        bag: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The losses of both heads.

        Args:
            ids: [B, T], some of them masked.
            masked: the places of those to guess in the batch read row by row, [N].
            targets: what stood there, [N].
            bag: how much each of a row's own ids counts in the second loss, [B, T, 2]: id, weight.
        """
        hidden = self.encode(ids)
        guessed = self.scores(hidden.reshape(-1, HIDDEN)[masked])
        pooled = torch.tanh(self.pooler(hidden[:, 0]))
        logs = functional.log_softmax(
            functional.linear(pooled, self.word.weight, self.bag_bias), dim=-1
        )
        found = logs.gather(1, bag[..., 0].long())
        return functional.cross_entropy(guessed, targets), -(found * bag[..., 1]).sum(1).mean()

    @torch.no_grad()
    def start(self, warm: Path) -> None:
        """Begin with the vectors of `warm_start.py`, with places that are waves, and with heads
        that look at a word's neighbours: from there the loss falls at once."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.04 if name.startswith("layers") else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        saved = np.load(warm)
        words = HIDDEN - PLACES
        vectors = torch.from_numpy(saved["vectors"])
        vectors[:5] = torch.randn(5, words) / math.sqrt(words)  # the special tokens
        self.word.weight.zero_()
        self.word.weight[:, :words] = vectors * math.sqrt(words) * 0.05
        half = PLACES // 2
        waves = 2.2 * torch.exp(-torch.arange(half) * math.log(2.2 * POSITIONS / 6.28) / (half - 1))
        angles = torch.arange(float(POSITIONS))[:, None] * waves
        self.position.weight.zero_()
        self.position.weight[:, words : words + half] = torch.sin(angles) * 0.08
        self.position.weight[:, words + half :] = torch.cos(angles) * 0.08
        counts = saved["frequencies"].astype(np.float64) + 1
        counts[:5] = 1
        self.bias.copy_(torch.from_numpy(np.log(counts / counts.sum()) + 9).float() * 0.5)
        self.bag_bias.copy_(self.bias)
        self.pooler.weight.copy_(torch.eye(HIDDEN) * 0.5)
        self._look_at_neighbours(waves, words)

    def _look_at_neighbours(self, waves: torch.Tensor, words: int) -> None:
        half = PLACES // 2
        weight = self.layers[0].qkv.weight
        weight[: 2 * HIDDEN].mul_(0.3)
        for head, offset in enumerate(_OFFSETS):
            query, key = torch.zeros(HEAD, HIDDEN), torch.zeros(HEAD, HIDDEN)
            for number in range(half):
                # A wave that is moved on by `offset`, by the sums of angles.
                sine, cosine = words + number, words + half + number
                c, s = torch.cos(waves[number] * offset), torch.sin(waves[number] * offset)
                query[number, sine], query[number, cosine] = c, s
                query[half + number, cosine], query[half + number, sine] = c, -s
                key[number, sine] = key[half + number, cosine] = 1
            rows = slice(head * HEAD, (head + 1) * HEAD)
            weight[rows] = query * 1.2
            weight[HIDDEN:][rows] = key * 1.2

    def _named(self) -> dict[str, torch.Tensor]:
        """Every weight that is kept, under its name in `transformers`; views, not copies."""
        found: dict[str, torch.Tensor] = {
            "ernie.embeddings.word_embeddings.weight": self.word.weight,
            "ernie.embeddings.position_embeddings.weight": self.position.weight,
            "cls.predictions.bias": self.bias,
        }
        modules = {
            "ernie.embeddings.LayerNorm": self.norm,
            "ernie.pooler.dense": self.pooler,
            "cls.predictions.transform.dense": self.transform,
            "cls.predictions.transform.LayerNorm": self.transform_norm,
        }
        for number, layer in enumerate(self.layers):
            prefix = f"ernie.encoder.layer.{number}"
            modules[f"{prefix}.attention.output.dense"] = layer.out
            modules[f"{prefix}.attention.output.LayerNorm"] = layer.attention_norm
            modules[f"{prefix}.intermediate.dense"] = layer.up
            modules[f"{prefix}.output.dense"] = layer.down
            modules[f"{prefix}.output.LayerNorm"] = layer.output_norm
            for part, name in enumerate(("query", "key", "value")):
                rows = slice(part * HIDDEN, (part + 1) * HIDDEN)
                found[f"{prefix}.attention.self.{name}.weight"] = layer.qkv.weight[rows]
                found[f"{prefix}.attention.self.{name}.bias"] = layer.qkv.bias[rows]
        for prefix, module in modules.items():
            found[f"{prefix}.weight"], found[f"{prefix}.bias"] = module.weight, module.bias
        return found

    @torch.no_grad()
    def arrays(self) -> dict[str, np.ndarray]:
        """The weights as `transformers`' ErnieForMaskedLM has them, float32."""
        arrays = {name: value.cpu().numpy().copy() for name, value in self._named().items()}
        # Pretraining reads single texts: their segment's embedding is part of the positions'.
        segments = np.zeros((2, HIDDEN), np.float32)
        return {**arrays, "ernie.embeddings.token_type_embeddings.weight": segments}

    @torch.no_grad()
    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from weights that `arrays` gave, in any precision."""
        for name, target in self._named().items():
            target.copy_(torch.from_numpy(arrays[name]))
        self.bag_bias.copy_(self.bias)
