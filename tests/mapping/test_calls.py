"""What functions are taken apart into gives what the functions give."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohmfield.mapping.calls import Calls
from ohmfield.mapping.trace import plain


class Plain(Calls):
    """Every product as it is."""

    def weighted(self, path, x, weight, bias, window):
        return plain(x, weight, bias, window)

    def product(self, path, a, b):
        return a @ b

    def relu(self, path, x):
        return x.clamp_min(0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "shared"), [(6, 6), (6, 2), (6, 1)])
def test_attention_with_shared_keys_is_what_torch_says(heads: int, shared: int, causal: bool) -> None:
    class Attention(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=heads != shared)

    model, q = Attention(), torch.randn(2, heads, 5, 4)
    k, v = torch.randn(2, shared, 5, 4), torch.randn(2, shared, 5, 3)
    with Plain(model, lambda _: False):
        mine = model(q, k, v)
    torch.testing.assert_close(mine, model(q, k, v))
