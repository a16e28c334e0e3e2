"""How the weights move: Muon for the matrices inside the network, AdamW for all else.

Muon (Jordan et al. 2024) makes each matrix's step orthogonal; on this network and a given number of
windows it gets further than AdamW alone. Embeddings, heads, biases and norms stay with AdamW.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from d3pose_core.errors import InputError

OPTIMIZERS = ("muon", "adamw")
# Matrices that read inputs or write outputs: their rows are units of their own, not directions.
_EDGES = ("embed", "head", "betas_weight", "time_bias", "slot_bias")


class Optimizer:
    """One or two torch optimizers that step together."""

    def __init__(
        self, model: nn.Module, kind: str, learning_rate: float, muon_rate: float, decay: float
    ) -> None:
        """`kind` is one of `OPTIMIZERS`. Raises InputError where this torch has no Muon."""
        inner: list[nn.Parameter] = []
        edge: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            hidden = parameter.ndim == 2 and not any(part in name for part in _EDGES)
            (inner if hidden and kind == "muon" else edge).append(parameter)
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(edge, lr=learning_rate, weight_decay=decay)
        ]
        self.rates = [learning_rate]
        if inner:
            if not hasattr(torch.optim, "Muon"):
                raise InputError(
                    f"torch {torch.__version__} has no Muon (2.9 and later have); "
                    "set `optimizer: adamw` or install a later torch"
                )
            self.parts.append(
                torch.optim.Muon(
                    inner, lr=muon_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
                )
            )
            self.rates.append(muon_rate)

    def set_rate(self, factor: float) -> None:
        """Each part steps at `factor` times its own rate."""
        for part, rate in zip(self.parts, self.rates, strict=True):
            for group in part.param_groups:
                group["lr"] = rate * factor

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
