"""Recurrent layers as the products they are made of: matrices of input and state, unrolled, gates as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ohmfield.mapping.calls import Calls


def recurrent(cell: str) -> Callable[..., Any]:
    """What runs in place of `torch.lstm` and its kin; the name of the cell is that of the function."""

    def run(calls: Calls, input: Tensor, state: Any, weights: Any, has_biases: Any, *rest: Any) -> Any:
        num_layers, dropout, train, bidirectional, batch_first = (*rest, False)[:5]
        if not isinstance(has_biases, bool) or input.dim() != 3:  # a packed sequence
            return NotImplemented
        x = input if batch_first else input.transpose(0, 1)
        start = list(state) if cell == "lstm" else [state]
        ends: list[list[Tensor]] = [[] for _ in start]
        each, directions = len(weights) // (num_layers * (1 + bidirectional)), 1 + bidirectional
        for layer in range(num_layers):
            made = []
            for direction in range(directions):
                at = layer * directions + direction
                w = weights[at * each : (at + 1) * each]
                if each not in (2, 4):
                    return NotImplemented  # a projection behind the state
                biases = w[2:] if has_biases else (None, None)
                seen = x.flip(1) if direction else x
                driven = calls.linear(seen, w[0], biases[0])
                now = [part[at] for part in start]
                steps = []
                for step in driven.unbind(1):
                    now = CELLS[cell](step, calls.linear(now[0], w[1], biases[1]), now)
                    steps.append(now[0])
                for kept, last in zip(ends, now, strict=True):
                    kept.append(last)
                whole = torch.stack(steps, 1)
                made.append(whole.flip(1) if direction else whole)
            x = torch.cat(made, -1)
            if dropout and train and layer < num_layers - 1:
                x = nn.functional.dropout(x, dropout)
        return (x if batch_first else x.transpose(0, 1), *(torch.stack(kept) for kept in ends))

    return run


def _lstm_cell(x: Tensor, h: Tensor, state: list[Tensor]) -> list[Tensor]:
    enter, forget, fresh, show = (x + h).chunk(4, -1)
    cell = forget.sigmoid() * state[1] + enter.sigmoid() * fresh.tanh()
    return [show.sigmoid() * cell.tanh(), cell]


def _gru_cell(x: Tensor, h: Tensor, state: list[Tensor]) -> list[Tensor]:
    (reset, keep, fresh), (reset_h, keep_h, fresh_h) = x.chunk(3, -1), h.chunk(3, -1)
    keep = (keep + keep_h).sigmoid()
    fresh = (fresh + (reset + reset_h).sigmoid() * fresh_h).tanh()
    return [fresh + keep * (state[0] - fresh)]


CELLS: dict[str, Callable[[Tensor, Tensor, list[Tensor]], list[Tensor]]] = {
    "lstm": _lstm_cell,
    "gru": _gru_cell,
    "rnn_tanh": lambda x, h, state: [(x + h).tanh()],
    "rnn_relu": lambda x, h, state: [(x + h).relu()],
}
