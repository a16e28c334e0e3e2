"""Trains the image variant on rendered clips: the losses of the landmark variant, other inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from d3pose_core.body import load_body
from d3pose_core.body.model import BodyModel
from d3pose_core.data.image_clips import ImageClips
from d3pose_core.data.mean_pose import MeanPose, mean_pose
from d3pose_core.data.simulator import TrainingBatch, Truth
from d3pose_core.errors import InputError
from d3pose_core.evaluation.image_modes import MODES, predict, scores
from d3pose_core.model.decoder import PoseHead
from d3pose_core.model.image.backbone import Backbone
from d3pose_core.model.image.checkpoint import save_image_model
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.image.network import ImageD3Pose
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.training.curves import Curves
from d3pose_core.training.image_config import ImageTrainConfig
from d3pose_core.training.loop import training_losses
from d3pose_core.training.losses import total_loss
from d3pose_core.training.optimizer import Optimizer

_GRADIENT_LIMIT = 1.0


class FeatureSource:
    """Features of clips [B, T, tokens, width]; of a frozen backbone, computed once."""

    def __init__(self, clips: ImageClips, backbone: Backbone, frozen: bool) -> None:
        self._clips, self._backbone = clips, backbone
        self._kept: dict[int, Tensor] | None = {} if frozen else None

    def __call__(self, indices: Tensor, window: slice) -> Tensor:
        if self._kept is None:
            return self._backbone(self._clips.pixels(indices, window))
        for index in indices.tolist():
            if index not in self._kept:
                with torch.no_grad():
                    one = self._backbone(self._clips.pixels(torch.tensor([index])))
                self._kept[index] = one[0].half()
        kept = torch.stack([self._kept[index][window] for index in indices.tolist()])
        return kept.float()

    def batch(self, indices: Tensor, window: slice = slice(None)) -> tuple[FrameFeatures, Truth]:
        """What the network reads of some clips, or of some of their frames, and what it should say."""
        truth = self._clips.truth(indices)
        cut = {name: value[:, window] for name, value in vars(truth).items() if name != "betas"}
        frames = self._clips.frames(indices, self(indices, window), window)
        return frames, Truth(betas=truth.betas, **cut)


def train_image(config: ImageTrainConfig) -> Path:
    """Run or resume a training; returns the best checkpoint's path.

    The output folder gets `best.safetensors` (lowest held-out MPJPE, free-running), `resume.pt` and
    `curve.csv`: the training loss since the line before and the held-out scores in the three modes, one
    line a validation.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    clips, held_out = ImageClips.load(config.clips), ImageClips.load(config.held_out)
    if config.frames is not None and config.frames > clips.images.shape[1]:
        raise InputError(
            f"{config.clips} has clips of {clips.images.shape[1]} frames, not {config.frames}"
        )
    body = load_body("free-low")
    backbone = Backbone(config.network.backbone, config.network.image_size, config.pretrained)
    network = ImageD3Pose(config.network)
    start_at(network, mean_pose(clips))
    source, held_out_source = (FeatureSource(c, backbone, config.frozen) for c in (clips, held_out))
    parts = nn.ModuleDict({"network": network, "backbone": backbone})
    trained = nn.ModuleDict({"network": network}) if config.frozen else parts
    rates = config.learning_rate, config.muon_rate, config.weight_decay
    optimizer = Optimizer(trained, config.optimizer, *rates)

    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    best, state_file = output / "best.safetensors", output / "resume.pt"
    first, lowest = _resume(state_file, parts, optimizer)
    curves = Curves(output)
    rng = torch.Generator()
    recent: list[float] = []
    with tqdm(
        total=config.steps, initial=first, desc="training", unit="step", mininterval=5
    ) as bar:
        for step in range(first, config.steps):
            optimizer.set_rate(rate_factor(step, config))
            network.train()
            backbone.train(not config.frozen)
            # A seed for each step, so that a resumed run goes on as if never stopped.
            rng.manual_seed(config.seed * 10**6 + step)
            chosen = torch.randint(len(clips), (config.batch,), generator=rng)
            length = config.frames or clips.images.shape[1]
            start = int(torch.randint(clips.images.shape[1] - length + 1, (1,), generator=rng))
            frames, truth = source.batch(chosen, slice(start, start + length))
            batch = TrainingBatch(cast(ObservationBatch, frames), truth)
            losses = training_losses(
                network, batch, config.own_outputs, config.past_noise, body, rng
            )
            loss = total_loss(losses, config.loss)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), _GRADIENT_LIMIT)
            optimizer.step()
            bar.update()
            recent.append(float(loss.detach()))
            if (step + 1) % config.validate_every and step + 1 < config.steps:
                continue

            network.eval()
            backbone.eval()
            table = held_out_scores(network, held_out, held_out_source, body)
            curves.add(step + 1, {"loss": sum(recent) / len(recent), **table})
            recent = []
            if table["free_mpjpe"] < lowest:
                lowest = table["free_mpjpe"]
                save_image_model(network, backbone, best, {"steps": step + 1, "held_out": table})
            _save_resume(state_file, parts, optimizer, step + 1, lowest)
    return best


def start_at(network: ImageD3Pose, mean: MeanPose) -> None:
    """Let every head begin with the mean pose, whatever it reads: what remains to learn is in the images."""
    sixd = mean.rotations[..., :2].flatten()
    for head in (network.decoder.pose_head, *network.stage_heads):
        head = cast(PoseHead, head)
        start = torch.cat([sixd - cast(Tensor, head.identity), mean.place, mean.betas])
        with torch.no_grad():
            head.linear.bias.copy_(start)


def _save_resume(
    path: Path, parts: nn.ModuleDict, optimizer: Optimizer, step: int, lowest: float
) -> None:
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
    state |= {"optimizer": optimizer.state_dict(), "step": step, "lowest": lowest}
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def _resume(path: Path, parts: nn.ModuleDict, optimizer: Optimizer) -> tuple[int, float]:
    """The next step and the lowest held-out MPJPE so far; of a new run 0 and infinity.

    Raises:
        InputError: the run in that folder was of other networks.
    """
    if not path.is_file():
        return 0, float("inf")
    state = torch.load(path, weights_only=True)
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} is of a run with other networks ({error}); give another `output` or remove it"
        ) from error
    return state["step"], state["lowest"]


def rate_factor(step: int, config: ImageTrainConfig) -> float:
    """Of the learning rate: linear warm-up, then a straight fall to a hundredth."""
    return min(1.0, (step + 1) / config.warmup_steps) * max(0.01, 1 - step / config.steps)


@torch.inference_mode()
def held_out_scores(
    network: ImageD3Pose, clips: ImageClips, source: FeatureSource, body: BodyModel
) -> dict[str, float]:
    """`<mode>_<score>` for each of the three modes, over all clips."""
    frames, truth = source.batch(torch.arange(len(clips)))
    return {
        f"{mode}_{name}": value
        for mode in MODES
        for name, value in scores(
            predict(network, frames, truth, mode), frames, truth, body
        ).items()
    }
