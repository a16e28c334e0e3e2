"""Mixed precision for the network's large products; what turns them into metres stays in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def in_bfloat16(forward: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """`forward` under autocast, its tensors (also in tuples and lists) returned as float32."""

    def run(*inputs: Any) -> Any:
        with torch.autocast(device.type, torch.bfloat16):
            return _as_float32(forward(*inputs))

    return run


def _as_float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, (tuple, list)):
        return type(value)(_as_float32(item) for item in value)
    return value
