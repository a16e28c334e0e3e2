"""Trains a network that D3Pose is compared with: same data, losses, budget and selection.

Everything comes from the `TrainConfig` of D3Pose's own training but what only D3Pose has (its sizes,
its decoder's past poses, initial weights, compilation). The same seed draws the same batches.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from d3pose_core.body import load_body
from d3pose_core.body.model import BodyModel
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.evaluation.compare import evaluate
from d3pose_core.evaluation.held_out import held_out_batches
from d3pose_core.model.baselines import build_peer
from d3pose_core.model.baselines.base import Peer
from d3pose_core.model.baselines.checkpoint import save_peer
from d3pose_core.model.baselines.motion_discriminator import MotionDiscriminator
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.curves import Curves
from d3pose_core.training.loop import draw, rate_factor, recordings, resume, save_resume
from d3pose_core.training.losses import pose_losses, total_loss
from d3pose_core.training.optimizer import Optimizer

ADVERSARIAL_WEIGHT = 0.05  # of the discriminator's verdict among the pose losses
_ADVERSARIAL = ("vibe",)  # networks that are trained against a discriminator


class Trainee(nn.Module):
    """A network, and where its training has one the discriminator that it plays against."""

    def __init__(self, name: str, sizes: dict[str, int] | None = None):
        super().__init__()
        self.peer = build_peer(name, **(sizes or {}))
        self.discriminator = MotionDiscriminator() if name in _ADVERSARIAL else None

    def losses(
        self, batch: TrainingBatch, body: BodyModel, mixed_precision: bool
    ) -> dict[str, Tensor]:
        """D3Pose's losses, and those of the discriminator and of the motions that it judges."""
        observations, truth = batch.observations, batch.truth
        output = self.peer(observations, mixed_precision=mixed_precision)
        prediction = output.prediction
        own = (prediction.rotations, prediction.place, prediction.betas)
        losses = pose_losses(
            prediction,
            output.more_poses or [own],
            output.view,
            truth,
            observations.seen,
            observations.step_s,
            body,
        )
        if not output.more_poses:
            del losses["stages"]  # it would count the answer twice
        if self.discriminator is not None:
            # Recorded motions of other windows: the discriminator must not compare pairs.
            recorded = truth.rotations.roll(1, 0)
            made = prediction.rotations
            with torch.autocast(made.device.type, torch.bfloat16, enabled=mixed_precision):
                losses["adversarial"] = self.discriminator.generator_loss(made)
                losses["discriminator"] = self.discriminator.loss(recorded, made)
        return losses

    def total(self, losses: dict[str, Tensor], config: TrainConfig) -> Tensor:
        """One number; the two players' gradients do not meet in it."""
        pose = dict(losses)
        adversarial = pose.pop("adversarial", torch.zeros(()))
        discriminator = pose.pop("discriminator", torch.zeros(()))
        return total_loss(pose, config.loss) + ADVERSARIAL_WEIGHT * adversarial + discriminator


def train_peer(name: str, config: TrainConfig, sizes: dict[str, int] | None = None) -> Path:
    """Run or resume the training of one of `baselines.PEERS`; returns the best checkpoint's path.

    The folder `config.output` gets what `training.loop.train` leaves there.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)

    trainee = Trainee(name, sizes).to(device)
    averaged = AveragedModel(trainee.peer, multi_avg_fn=get_ema_multi_avg_fn(config.average_decay))
    optimizer = Optimizer(
        trainee, config.optimizer, config.learning_rate, config.muon_rate, config.weight_decay
    )
    step, best, spent = resume(output / "resume.pt", trainee, averaged, optimizer)
    if step >= config.steps:
        return output / "best.safetensors"

    body = load_body(config.body)
    recorded = MotionLibrary(config.motions, "train")
    simulator = Simulator(recorded, body, config.seed, config.realism)
    measured = recordings(config, body)
    unseen_people = MotionLibrary(config.motions, "val")
    held_out = held_out_batches(unseen_people, body, config.validation_sequences)
    device_body = load_body(config.body, str(device))
    curves = Curves(output)
    started = time.monotonic() - spent
    running: dict[str, float] = {}
    with tqdm(total=config.steps, initial=step, desc=name, mininterval=5) as bar:
        while step < config.steps:
            optimizer.set_rate(rate_factor(step, config))
            simulator.rng.manual_seed(config.seed * 10**6 + step)
            batch = draw(simulator, measured, config).to(device)
            losses = trainee.losses(batch, device_body, config.precision == "bfloat16")
            loss = trainee.total(losses, config)
            optimizer.zero_grad()
            loss.backward()
            for player in trainee.children():
                torch.nn.utils.clip_grad_norm_(player.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(trainee.peer)
            step += 1
            bar.update()
            for key, value in {**losses, "loss": loss}.items():
                now = float(value.detach())
                running[key] = 0.98 * running.get(key, now) + 0.02 * now
            bar.set_postfix(loss=f"{running['loss']:.3f}", joints=f"{running['joints']:.3f}")

            if step % config.validate_every == 0 or step == config.steps:
                spent = time.monotonic() - started
                kept: Peer = copy.deepcopy(averaged.module).cpu().eval()  # type: ignore[assignment]
                scores = evaluate(kept, held_out, body)
                held = {f"held_out_{key}": value for key, value in scores.items()}
                curves.add(step, {"seconds": spent, **running, **held})
                rounded = {key: round(value, 3) for key, value in scores.items()}
                bar.write(json.dumps({"network": name, "step": step} | rounded))
                if scores["mpjpe"] < best:
                    best = scores["mpjpe"]
                    motions = [Path(m).name for m in config.motions]
                    notes = {"step": step, "held_out": rounded, "motions": motions}
                    save_peer(kept, output / "best.safetensors", notes)
                progress = {"step": step, "best": best, "spent": spent}
                save_resume(output / "resume.pt", trainee, averaged, optimizer, progress)
    return output / "best.safetensors"
