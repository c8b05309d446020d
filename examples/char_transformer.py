"""Which schedule wins for a tiny character transformer? The metric is a loss, and less is better.

    python -m study.search --problem examples/char_transformer.py:problem --trials 24

The text is Python's own: the first 100,000 characters of the help topics that ``help()`` shows, which come with every
interpreter. Windows of 32 characters, each predicting the next one; the last tenth of the text tests, the tenth
before it validates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn import functional

from study.problems import Problem

LENGTH = 32
WIDTH = 32


class Transformer(nn.Module):
    """One causal attention layer and one of two linear maps, each around a shortcut; tied embedding and output."""

    mask: torch.Tensor

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.position = nn.Parameter(0.1 * torch.randn(LENGTH, WIDTH))
        self.before = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.body = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.after = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, characters, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("mask", torch.triu(torch.ones(LENGTH, LENGTH, dtype=torch.bool), 1))

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Return logits ``[B, classes, LENGTH]`` of the characters that come next, from ``[B, LENGTH]``."""
        h = self.embedding(characters) + self.position
        x = self.before(h)
        h = h + self.attention(x, x, x, attn_mask=self.mask, need_weights=False)[0]
        h = h + self.body(h)
        logits: torch.Tensor = self.head(self.after(h))
        return logits.transpose(1, 2)


def windows(text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return windows of characters and the characters that follow each of them."""
    rows = (len(text) - 1) // LENGTH
    return text[: rows * LENGTH].view(rows, LENGTH), text[1 : rows * LENGTH + 1].view(rows, LENGTH)


def adamw(parameters: Iterable[torch.Tensor], lr: float) -> torch.optim.Optimizer:
    """Return AdamW as language models use it."""
    return torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.95), weight_decay=0.1)


book = "\n".join(topics[name] for name in sorted(topics))[:100_000]
alphabet = sorted(set(book))
number = {character: n for n, character in enumerate(alphabet)}
text = torch.tensor([number[character] for character in book])
eighth, ninth = (len(text) * part // 10 for part in (8, 9))

problem = Problem(
    name="char-transformer",
    model=lambda: Transformer(len(alphabet)),
    train=windows(text[:eighth]),
    validation=windows(text[eighth:ninth]),
    test=windows(text[ninth:]),
    loss=functional.cross_entropy,
    metric="loss",
    chance=math.log(len(alphabet)),
    optimizer=adamw,
    base_rate=(1e-4, 3e-2),
    batch_size=64,
    epochs=8,
)

if __name__ == "__main__":
    print(f"Try {problem.name}: python -m study.problem examples/char_transformer.py:problem --check")
