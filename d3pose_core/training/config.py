"""A training run, read from a YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from d3pose_core.body import FREE_BODIES
from d3pose_core.configuration import options, read_mapping
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.mistaken_sides import FLIPPING_SHARE
from d3pose_core.errors import InputError
from d3pose_core.model.config import D3PoseConfig
from d3pose_core.training.losses import LossWeights
from d3pose_core.training.optimizer import OPTIMIZERS

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on; the same file and seed give the same run."""

    motions: tuple[str, ...]  # motion shards (.npz), relative to the working directory
    output: str  # checkpoint directory
    steps: int
    measured: tuple[str, ...] = ()  # recordings of tools.measure_landmarks, of the training people
    measured_share: float = 0.25  # of the windows come from them, the others from the simulator
    reposed: float = (
        0.0  # share of the measured windows whose people are changed a little (data.measured)
    )
    hidden: float = (
        0.0  # share of all windows in which landmarks are missing at random, up to 0.4 of them
    )
    easier: float = 0.0  # share of the simulated windows with smaller errors (data.landmark_noise)
    flipping: float = FLIPPING_SHARE  # share of the simulated windows with whole-body flips
    rendered: tuple[
        str, ...
    ] = ()  # recordings of the validation people: scored, and the best chosen, too
    batch: int = 32  # windows a step
    frames: int = 60  # of each window; after a recording that is shorter nobody is seen
    initial_weights: str = ""  # a .safetensors file to start from instead of random weights
    body: str = "free-low"  # performs the motions; or your SMPL file (docs/finetuning.md)
    optimizer: str = "muon"  # or "adamw"
    learning_rate: float = 1.2e-3  # of AdamW
    muon_rate: float = (
        4e-3  # of Muon, in AdamW's terms (both steps have the same RMS at equal rates)
    )
    warmup_steps: int = 100
    cooldown: float = 0.5  # the last part of the run, in which the rate falls to nothing
    weight_decay: float = 0.02
    # The decoder reads its own outputs in this share of the windows, reached gradually: nothing before
    # the part `own_outputs_from` of the run, all of it a fifth of the run later. At first they are noise.
    own_outputs: float = 0.9
    own_outputs_from: float = 0.1
    past_noise: float = 0.05  # standard deviation added to true past poses
    average_decay: float = 0.99  # of the weights that are kept (exponential moving average)
    precision: str = "float32"  # or "bfloat16": mixed precision, where the hardware is made for it
    validate_every: int = 250
    validation_sequences: int = 128
    compile: bool = (
        False  # torch.compile: minutes at the start, a third faster after; needs a C++ compiler
    )
    seed: int = 0
    threads: int = 1
    network: D3PoseConfig = field(default_factory=D3PoseConfig)
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OPTIMIZERS), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        for name in ("steps", "batch", "frames", "validate_every", "threads", "warmup_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        shares = ("measured_share", "reposed", "hidden", "easier", "flipping")
        for name in (*shares, "own_outputs"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a share, from 0 to 1, got {getattr(self, name)}")
        if self.measured and not 0 < round(self.batch * self.measured_share) < self.batch:
            raise InputError(
                f"measured_share {self.measured_share} of {self.batch} windows a step must leave at least "
                "one measured and one simulated"
            )
        if self.measured and self.body not in FREE_BODIES:
            raise InputError(
                f"measured recordings are of the free body, whose betas are not those of {self.body}: leave "
                "`measured` out"
            )
        if self.frames < 3:
            raise InputError(f"a window needs at least 3 frames, got {self.frames}")

    @property
    def realism(self) -> Realism:
        """Of the simulated windows."""
        return Realism(easier=self.easier, flipping=self.flipping)

    @classmethod
    def load(cls, path: str | Path) -> TrainConfig:
        """Read a YAML file; unknown names are errors."""
        if not Path(path).is_file():
            raise InputError(f"no training configuration at {path}; see config/train/")
        values = read_mapping(path)
        if "network" in values:
            values["network"] = D3PoseConfig.from_dict(values["network"])
        if "loss" in values:
            values["loss"] = options(LossWeights, values["loss"], path, "weights of the loss")
        return options(cls, values, path, "training options")
