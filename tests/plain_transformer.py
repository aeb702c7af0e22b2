"""A transformer as a module of plain torch layers, whose children carry the names that `mapping.tokens` gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohmfield.networks.transformers import Transformer

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class Attention(nn.Module):
    def __init__(self, sizes: Transformer) -> None:
        super().__init__()
        self.sizes, queries, keys = sizes, sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
        self.q = nn.Linear(sizes.hidden, queries, bias="qkv" in sizes.biases)
        self.k = nn.Linear(sizes.hidden, keys, bias="qkv" in sizes.biases)
        self.v = nn.Linear(sizes.hidden, keys, bias="qkv" in sizes.biases)
        self.o = nn.Linear(queries, sizes.hidden, bias="out" in sizes.biases)

    def forward(self, x: Tensor, past: Tensor | None) -> Tensor:
        dim = self.sizes.head_dim
        q, k, v = (layer(x).unflatten(-1, (-1, dim)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if past is not None:  # [items, 2, kv_heads, tokens, dim]
            k, v = torch.cat([past[:, 0], k], 2), torch.cat([past[:, 1], v], 2)
        causal = self.sizes.causal and past is None
        x = F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
        return self.o(x.transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    def __init__(self, sizes: Transformer) -> None:
        super().__init__()
        bias = "mlp" in sizes.biases
        self.up = nn.Linear(sizes.hidden, sizes.mlp, bias=bias)
        self.gate = nn.Linear(sizes.hidden, sizes.mlp, bias=bias) if sizes.gated else None
        self.act = ACTIVATIONS[sizes.activation]()
        self.down = nn.Linear(sizes.mlp, sizes.hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        up = self.up(x)
        return self.down(self.act(up) if self.gate is None else self.act(self.gate(x)) * up)


class Experts(nn.Module):
    """A router, and the perceptrons of the tokens that chose them."""

    def __init__(self, sizes: Transformer) -> None:
        super().__init__()
        self.taken = sizes.experts_per_token
        self.router = nn.Linear(sizes.hidden, sizes.experts, bias="router" in sizes.biases)
        self.experts = nn.ModuleList(Perceptron(sizes) for _ in range(sizes.experts))

    def forward(self, x: Tensor) -> Tensor:
        scores, chosen = self.router(x).topk(self.taken)
        shares, out = scores.softmax(-1), torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            item, token, place = (chosen == index).nonzero(as_tuple=True)
            if len(token):
                out[item, token] += expert(x[item, token]) * shares[item, token, place, None]
        return out


class Layer(nn.Module):
    def __init__(self, sizes: Transformer) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(sizes), norm(sizes)
        self.attention = Attention(sizes)
        self.mlp = Experts(sizes) if sizes.experts else Perceptron(sizes)

    def forward(self, x: Tensor, past: Tensor | None) -> Tensor:
        x = x + self.attention(self.norm1(x), past)
        return x + self.mlp(self.norm2(x))


class PlainTransformer(nn.Module):
    """Tokens (or images) to the last layer's values, of one token."""

    def __init__(self, sizes: Transformer) -> None:
        super().__init__()
        self.sizes = sizes
        if sizes.patch:
            bias = "patch" in sizes.biases
            self.patches = nn.Conv2d(sizes.channels, sizes.hidden, sizes.patch, stride=sizes.patch, bias=bias)
            self.first = nn.Parameter(torch.zeros(1, 1, sizes.hidden))
        else:
            self.embed = nn.Embedding(sizes.vocabulary, sizes.hidden)
        if sizes.positions:
            self.positions = nn.Parameter(torch.zeros(sizes.positions, sizes.hidden))
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.norm = norm(sizes)
        self.head = nn.Linear(sizes.hidden, sizes.outputs, bias="outputs" in sizes.biases)
        if sizes.tied:
            self.head.weight = self.embed.weight

    def forward(self, x: Tensor, *past: Tensor) -> Tensor:
        if self.sizes.patch:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.first.expand(len(x), -1, -1), x], 1)
        else:
            x = self.embed(x)
        if self.sizes.positions:
            x = x + self.positions[: x.shape[1]]
        for index, layer in enumerate(self.layers):
            x = layer(x, past[index] if past else None)
        x = self.norm(x)
        return self.head(x[:, 0 if self.sizes.patch else -1])


def norm(sizes: Transformer) -> nn.Module:
    return nn.RMSNorm(sizes.hidden) if sizes.norm == "rms" else nn.LayerNorm(sizes.hidden)
