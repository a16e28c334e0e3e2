"""Trains the image variant on rendered clips: the losses of the landmark variant, other inputs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from tqdm import tqdm

from d3pose_core.body import load_body
from d3pose_core.body.model import BodyModel
from d3pose_core.data.image_clips import ImageClips
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.evaluation.image_modes import MODES, predict, scores
from d3pose_core.model.image.backbone import Backbone
from d3pose_core.model.image.checkpoint import save_image_model
from d3pose_core.model.image.features import FrameFeatures
from d3pose_core.model.image.network import ImageD3Pose
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.training.image_config import ImageTrainConfig
from d3pose_core.training.loop import training_losses
from d3pose_core.training.losses import total_loss

_GRADIENT_LIMIT = 1.0


class FeatureSource:
    """Features of clips [B, T, tokens, width]; of a frozen backbone, computed once."""

    def __init__(self, clips: ImageClips, backbone: Backbone, frozen: bool) -> None:
        self._clips, self._backbone = clips, backbone
        self._kept: dict[int, Tensor] | None = {} if frozen else None

    def __call__(self, indices: Tensor) -> Tensor:
        if self._kept is None:
            return self._backbone(self._clips.pixels(indices))
        for index in indices.tolist():
            if index not in self._kept:
                with torch.no_grad():
                    one = self._backbone(self._clips.pixels(torch.tensor([index])))
                self._kept[index] = one[0].half()
        return torch.stack([self._kept[index] for index in indices.tolist()]).float()

    def frames(self, indices: Tensor) -> FrameFeatures:
        return self._clips.frames(indices, self(indices))


def train_image(config: ImageTrainConfig) -> Path:
    """Run a training; returns the best checkpoint's path.

    The output folder gets `best.safetensors` (lowest held-out MPJPE, free-running) and `curve.csv`: the
    training loss and the held-out scores in the three modes, one line a validation.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    rng = torch.Generator().manual_seed(config.seed)
    clips, held_out = ImageClips.load(config.clips), ImageClips.load(config.held_out)
    body = load_body("free-low")
    backbone = Backbone(config.network.backbone, config.network.image_size, config.pretrained)
    network = ImageD3Pose(config.network)
    source, held_out_source = (FeatureSource(c, backbone, config.frozen) for c in (clips, held_out))
    parameters = [*network.parameters(), *([] if config.frozen else backbone.parameters())]
    optimizer = torch.optim.AdamW(
        parameters, config.learning_rate, weight_decay=config.weight_decay
    )

    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    best, lowest, recent = output / "best.safetensors", float("inf"), []
    with open(output / "curve.csv", "w", newline="", encoding="utf-8") as file:
        curve = csv.writer(file)
        curve.writerow(
            [
                "step",
                "loss",
                *(f"{m}_{n}" for m in MODES for n in ("mse", "mpjpe", "pa_mpjpe", "pve")),
            ]
        )
        for step in tqdm(range(config.steps), desc="training", unit="step", mininterval=5):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * rate_factor(step, config)
            network.train()
            backbone.train(not config.frozen)
            chosen = torch.randint(len(clips), (config.batch,), generator=rng)
            frames, truth = source.frames(chosen), clips.truth(chosen)
            batch = TrainingBatch(cast(ObservationBatch, frames), truth)
            losses = training_losses(
                network, batch, config.own_outputs, config.past_noise, body, rng
            )
            loss = total_loss(losses, config.loss)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_LIMIT)
            optimizer.step()
            recent.append(float(loss.detach()))
            if (step + 1) % config.validate_every and step + 1 < config.steps:
                continue

            network.eval()
            backbone.eval()
            table = held_out_scores(network, held_out, held_out_source, body)
            curve.writerow([step + 1, sum(recent) / len(recent), *table.values()])
            file.flush()
            recent = []
            if table["free_mpjpe"] < lowest:
                lowest = table["free_mpjpe"]
                save_image_model(network, backbone, best, {"steps": step + 1, "held_out": table})
    return best


def rate_factor(step: int, config: ImageTrainConfig) -> float:
    """Of the learning rate: linear warm-up, then a straight fall to a hundredth."""
    return min(1.0, (step + 1) / config.warmup_steps) * max(0.01, 1 - step / config.steps)


@torch.inference_mode()
def held_out_scores(
    network: ImageD3Pose, clips: ImageClips, source: FeatureSource, body: BodyModel
) -> dict[str, float]:
    """`<mode>_<score>` for each of the three modes, over all clips."""
    everything = torch.arange(len(clips))
    frames, truth = source.frames(everything), clips.truth(everything)
    return {
        f"{mode}_{name}": value
        for mode in MODES
        for name, value in scores(
            predict(network, frames, truth, mode), frames, truth, body
        ).items()
    }
