"""Any timm network as a source of features: crops in, tokens out.

timm asks for torchvision, of which a backbone needs nothing: it is for data augmentation and
detection layers. Where torchvision is missing, empty stand-ins take its names while timm is imported
(`pip install --no-deps timm`).
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from d3pose_core.errors import InputError


class Backbone(nn.Module):
    """A timm network without its head."""

    def __init__(self, name: str, image_size: int, pretrained: bool = False) -> None:
        """Build it; `pretrained` weights are downloaded by timm under their own licence.

        Raises:
            InputError: timm is not installed or knows no such network, or it can't take that size.
        """
        super().__init__()
        timm = _import_timm()
        options = {"pretrained": pretrained, "num_classes": 0}
        # Names such as hf-hub:... would have timm download what a checkpoint's text says.
        if not timm.is_model(name):
            raise InputError(
                f"timm can't build the backbone {name!r}: timm.list_models() names those it has"
            )
        try:
            try:
                self.network = timm.create_model(name, img_size=image_size, **options)
            except TypeError:  # convolutional ones take any size, and no such option
                self.network = timm.create_model(name, **options)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise InputError(
                f"timm can't build the backbone {name!r} for {image_size} px: {error}; "
                "timm.list_models() names those it has"
            ) from error
        self.name, self.image_size = name, image_size
        settings = self.network.pretrained_cfg
        self.mean: Tensor
        self.std: Tensor
        for key in ("mean", "std"):
            values = torch.tensor(settings[key]).view(3, 1, 1)
            self.register_buffer(key, values, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Crops [..., 3, S, S], R, G, B in 0..1 -> tokens [..., tokens, width]."""
        size = self.image_size
        if images.shape[-3:] != (3, size, size):
            raise InputError(
                f"{self.name}: images must be [..., 3, {size}, {size}], got {list(images.shape)}"
            )
        flat = (images.reshape(-1, 3, size, size) - self.mean) / self.std
        features = self.network.forward_features(flat)
        if features.ndim == 4:  # a convolutional network's map [N, C, h, w]
            features = features.flatten(2).transpose(1, 2)
        return features.reshape(*images.shape[:-3], *features.shape[1:])


class _Nothing(type):
    """A class that has any attribute; each is another of its kind."""

    def __getattr__(cls, name: str) -> _Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(name, (), {})


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `torchvision` and all of its modules, and fills them with nothing."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:
        def anything(name: str) -> _Nothing:
            if name.startswith("__"):
                raise AttributeError(name)
            return _Nothing(name, (), {})

        module.__getattr__ = anything  # type: ignore[method-assign]


def _import_timm() -> Any:
    """timm, with or without torchvision."""
    if "timm" in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return _imported()
    stand_ins = _StandIns()
    sys.meta_path.append(stand_ins)
    try:
        return _imported()
    finally:
        sys.meta_path.remove(stand_ins)
        # Nobody else may take them for the real thing.
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]


def _imported() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise InputError(
            f"the image variant needs timm ({error}): pip install --no-deps timm, "
            "with huggingface_hub for pretrained weights"
        ) from error
