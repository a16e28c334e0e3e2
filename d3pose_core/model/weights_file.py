"""Weights as .safetensors files, from anybody: nothing in them is run, and no network outgrows its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from d3pose_core.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class WeightsFile:
    """Tensors by name, as float32, and the texts beside them."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def size(self) -> int:
        """Numbers in all tensors together."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    def read_json(self, name: str) -> Any:
        """The value of a text. Raises InputError where it is missing, or no JSON."""
        try:
            return json.loads(self.metadata[name])
        except (KeyError, ValueError, RecursionError) as error:
            raise InputError(
                f"{self.path} does not say its {name} ({error!r}): it is damaged, or of another program"
            ) from error

    def check_size(self, least: float, what: str) -> None:
        """Before a network is built: it must not be larger than what was stored of it.

        Args:
            least: numbers that the network has at least.
        """
        if least > self.size:
            raise InputError(
                f"{self.path} holds {self.size} numbers, too few for {what}: it is damaged, or cut off"
            )

    def build(self, make: Callable[[], T]) -> T:
        """What `make` builds of the file's own words. Raises InputError where they make no network."""
        try:
            return make()
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error
        except Exception as error:  # of torch, which checks little before it divides or allocates
            raise InputError(
                f"{self.path} describes no network that can be built: {type(error).__name__}: {error}"
            ) from error

    def fill(self, module: nn.Module, what: str, start: str = "") -> None:
        """Put the tensors whose names begin with `start` into `module`. Raises InputError unless all fit."""
        own = {n.removeprefix(start): t for n, t in self.tensors.items() if n.startswith(start)}
        try:
            missing, unexpected = module.load_state_dict(own, strict=False)
        except RuntimeError as error:  # tensors of other shapes
            raise InputError(f"{self.path} does not fit {what}: {error}") from error
        if missing or unexpected:
            raise InputError(
                f"{self.path} does not fit {what}: missing {missing[:3]}, unexpected {unexpected[:3]}"
            )


def read_weights(path: Path, form: str, mend: str) -> WeightsFile:
    """A file whose metadata says that its format is `form`.

    Args:
        mend: what to do about a damaged file, for the message.

    Raises:
        InputError: not a safetensors file, a damaged one, one of another format, or numbers that are none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors' own, and torch's for types that it does not know
        raise InputError(
            f"{path} is not a safetensors file or is damaged ({error}); {mend}"
        ) from error
    if metadata.get("format") != form:
        raise InputError(
            f"{path} is not a {form} checkpoint (its format says {metadata.get('format')!r})"
        )
    odd = [name for name, tensor in tensors.items() if not tensor.is_floating_point()]
    if odd:
        raise InputError(f"{path} is damaged: {odd[0]} is {tensors[odd[0]].dtype}; {mend}")
    floats = {name: tensor.to(torch.float32) for name, tensor in tensors.items()}
    broken = [name for name, tensor in floats.items() if not tensor.isfinite().all()]
    if broken:
        raise InputError(
            f"{path} is damaged: {broken[0]} holds numbers that are not finite; {mend}"
        )
    return WeightsFile(path, floats, metadata)
