"""A training run of the image variant, read from a YAML file with `variant: image`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from d3pose_core.configuration import options, read_mapping
from d3pose_core.errors import InputError
from d3pose_core.model.image.config import ImageConfig
from d3pose_core.training.losses import LossWeights
from d3pose_core.training.optimizer import OPTIMIZERS


@dataclass(frozen=True)
class ImageTrainConfig:
    """Everything that a run depends on; the same file and seed give the same run."""

    clips: str  # of `python -m tools.render_crops`, to train on
    held_out: str  # others, of subjects that are not among them
    output: str  # checkpoint directory
    steps: int
    batch: int = 4  # clips a step
    # Of each clip only so many neighbouring ones, cut at random: more clips a step for the same work.
    frames: int | None = None
    optimizer: str = "muon"  # or "adamw"
    learning_rate: float = 5e-4  # of AdamW, which moves what Muon doesn't
    muon_rate: float = 0.02
    warmup_steps: int = 50
    weight_decay: float = 0.05
    # As in `TrainConfig`: the decoder reads its own outputs in this share of the clips.
    own_outputs: float = 0.8
    past_noise: float = 0.05
    pretrained: bool = False  # the backbone's weights, downloaded by timm under their own licence
    frozen: bool = False  # the backbone is not trained; its features are computed once
    validate_every: int = 100
    seed: int = 0
    threads: int = 1
    network: ImageConfig = field(default_factory=ImageConfig)
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "threads", "warmup_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer must be one of {OPTIMIZERS}, got {self.optimizer!r}")
        if self.frames is not None and self.frames < 3:
            raise InputError(f"frames must be at least 3 (accelerations), got {self.frames}")

    @classmethod
    def load(cls, path: str | Path) -> ImageTrainConfig:
        """Read a YAML file; unknown names are errors."""
        values = read_mapping(path)
        values.pop("variant", None)
        if "network" in values:
            values["network"] = ImageConfig.from_dict(values["network"])
        if "loss" in values:
            values["loss"] = options(LossWeights, values["loss"], path, "weights of the loss")
        return options(cls, values, path, "training options")


def is_image_config(path: str | Path) -> bool:
    """Whether a training configuration says `variant: image`."""
    try:
        return read_mapping(path).get("variant") == "image"
    except InputError:
        return False  # whoever reads it next says what is wrong
