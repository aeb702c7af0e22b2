"""A small vision transformer: plain linear layers and layer norms around `scaled_dot_product_attention`."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ohmfield.networks.sizes import within
from ohmfield.spec import InputError


class Attention(nn.Module):
    """Multi-head self-attention: one layer for queries, keys and values, one behind the heads."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "items tokens dim"]) -> Float[Tensor, "items tokens dim"]:
        """Every token, as a mixture of what all tokens say."""
        items, tokens, dim = x.shape
        query, key, value = self.qkv(x).reshape(items, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(items, tokens, dim))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them, token by token."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
        """Tokens of the same shape."""
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Attention, then the MLP; each sees its input normalised and adds to it."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x: Float[Tensor, "items tokens dim"]) -> Float[Tensor, "items tokens dim"]:
        """Tokens of the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches as tokens with learnt positions, blocks, a mean over tokens, a linear classifier."""

    def __init__(
        self, size: int, patch: int, dim: int, depth: int, heads: int, hidden: int, num_classes: int, channels: int
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        self.patch_embed = nn.Conv2d(channels, dim, patch, stride=patch)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: Float[Tensor, "items channels height width"]) -> Float[Tensor, "items classes"]:
        """Logits of images with values in [0, 1]."""
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2) + self.pos_embed
        return self.head(self.norm(self.blocks(tokens)).mean(1))


def vit(
    size: int = 32,
    patch: int = 4,
    dim: int = 96,
    depth: int = 4,
    heads: int = 4,
    hidden: int = 192,
    num_classes: int = 10,
    channels: int = 3,
) -> VisionTransformer:
    """A vision transformer for images of `size` x `size` pixels in patches of `patch` x `patch`.

    Parameters start from torch's generator. Source: Dosovitskiy et al., ICLR 2021, with the mean over tokens instead
    of a class token.

    >>> sum(p.numel() for p in vit().parameters())
    311146
    """
    within("vit", 1, 4096, size=size, patch=patch, dim=dim, hidden=hidden, channels=channels)
    within("vit", 1, 256, depth=depth, heads=heads)
    within("vit", 2, 2**16, num_classes=num_classes)
    if size % patch or dim % heads:
        raise InputError(
            f"vit: size = {size} must be a multiple of patch = {patch}, dim = {dim} of heads = {heads}; "
            "for instance size=32, patch=4, dim=96, heads=4"
        )
    made = VisionTransformer(size, patch, dim, depth, heads, hidden, num_classes, channels)
    sizes = {"size": size, "patch": patch, "dim": dim, "depth": depth, "heads": heads, "hidden": hidden}
    made.config = {"preset": "vit", **sizes, "num_classes": num_classes, "channels": channels}
    return made
