"""Miniatures in the idioms of torchvision and timm, for tests: nothing in them knows of chips."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        nn.init.constant_(self.fc1.bias, 0.5)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        scale = F.relu(self.fc1(x.mean((2, 3), keepdim=True)), inplace=True)
        return x * self.fc2(scale).sigmoid()


class InvertedResidual(nn.Module):
    """Depthwise separable, squeeze and excite, channels shuffled, in place."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        hidden = 2 * inputs
        self.expand = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True)
        )
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.excite = SqueezeExcite(hidden)
        self.project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.expand(x)
        items, channels, height, width = out.shape
        out = out.view(items, 2, channels // 2, height, width).transpose(1, 2).contiguous().view(out.shape)
        out = self.project(self.excite(F.relu(self.norm(self.depthwise(out)))))
        out += identity
        return F.relu_(out)


class Vision(nn.Module):
    """torchvision: stages in `nn.Sequential`, `torch.flatten`, dropout before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            InvertedResidual(8, 8, 1),
            InvertedResidual(8, 16, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class TimmAttention(nn.Module):
    """timm: one layer for queries, keys and values, fused attention or written out."""

    def __init__(self, dim: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.num_heads, self.scale, self.fused_attn = heads, (dim // heads) ** -0.5, fused
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm: nn.Module = nn.Identity()
        self.attn_drop, self.proj = nn.Dropout(0.0), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, dim // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        q = self.q_norm(q)
        if self.fused_attn:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            attn = (q * self.scale) @ k.transpose(-2, -1)
            x = self.attn_drop(attn.softmax(dim=-1)) @ v
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, dim))


class TimmBlock(nn.Module):
    def __init__(self, dim: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.norm1, self.attn, self.drop_path1 = nn.LayerNorm(dim), TimmAttention(dim, heads, fused), nn.Identity()
        self.gamma = nn.Parameter(torch.full((dim,), 0.7))
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.gamma * self.attn(self.norm1(x)))
        return x + self.drop_path1(self.mlp(self.norm2(x)))


class StdConv2d(nn.Conv2d):
    """timm: weights standardised anew in every forward, a convolution called by its function."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        spread, mean = torch.std_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / (spread + 1e-6), self.bias, self.stride, self.padding)


class Timm(nn.Module):
    def __init__(self, dim: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.patch_embed = StdConv2d(3, dim, 4, stride=4)
        self.cls_token = nn.Parameter(0.5 * torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(0.1 * torch.randn(1, 17, dim))
        self.blocks = nn.Sequential(TimmBlock(dim, heads, True), TimmBlock(dim, heads, False))
        self.norm, self.pre_logits = nn.LayerNorm(dim), nn.Identity()
        self.head_weight = nn.Parameter(0.3 * torch.randn(dim, 10))

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        return self.norm(self.blocks(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.pre_logits(self.forward_features(x)[:, 0]) @ self.head_weight
