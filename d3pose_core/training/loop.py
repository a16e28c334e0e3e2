"""The training loop: resumable, deterministic for a seed, best checkpoint by held-out score."""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from d3pose_core.body import load_body
from d3pose_core.body.model import BodyModel
from d3pose_core.data.measured import MeasuredClips
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.errors import InputError
from d3pose_core.evaluation.held_out import held_out_batches, score
from d3pose_core.evaluation.reliability import calibrate, joint_errors, reliability
from d3pose_core.evaluation.rendered import limb_scores
from d3pose_core.model.checkpoint import load_model, load_notes, save_model
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import encode_feedback
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.curves import Curves
from d3pose_core.training.losses import pose_losses, shift, total_loss, true_past
from d3pose_core.training.optimizer import Optimizer
from d3pose_core.training.precision import in_bfloat16

MOST_MISSING = 0.4
UNRIVALLED = 0.1  # share of the windows, see `without_rivals`
RESUMABLE_EVERY = 200  # steps: so much is lost at most where a run is interrupted


def rate_factor(step: int, config: TrainConfig) -> float:
    """Of the learning rates: linear warm-up, level, and a straight fall to a hundredth at the end."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    left = (1 - step / config.steps) / max(config.cooldown, 1e-6)
    return warm * min(1.0, max(0.01, left))


def training_losses(
    model: D3Pose,
    batch: TrainingBatch,
    own_outputs: float,
    past_noise: float,
    body: BodyModel,
    rng: torch.Generator,
) -> dict[str, Tensor]:
    """Losses of one batch, the decoder reading partly truth and partly what it said itself.

    Scheduled sampling for transformers (Mihaylova and Martins 2019), without the truth's help: a first
    decoder pass reads the last encoder stage's own poses, and what it answers is what the second pass
    reads, in a share `own_outputs` of the windows.
    """
    observations, truth = batch.observations, batch.truth
    state = model.initial_state(len(observations.seen))
    encoded = model.encode(observations, state)
    stages = model.stage_poses(encoded)
    past = true_past(truth, encoded.view)
    noise = torch.randn(past.shape, generator=rng).to(past.device)
    past = past + past_noise * noise
    if own_outputs > 0:
        with torch.no_grad():
            guess = shift(encode_feedback(*stages[-1][:2]))
            first = model.decode(guess, encoded, state).prediction
        own = torch.rand(len(past), 1, 1, generator=rng).to(past.device) < own_outputs
        past = torch.where(own, shift(first.feedback()), past)
    output = model.decode(past, encoded, state)
    return pose_losses(
        output.prediction,
        [*stages, *output.guesses],
        encoded.view,
        truth,
        observations.seen,
        observations.step_s,
        body,
    )


def train(config: TrainConfig) -> Path:
    """Run or resume a training; returns the best checkpoint's path.

    Started by `torchrun`, each process draws its own windows and the gradients are averaged; each has
    a GPU where there are enough. The output folder gets `best.safetensors` (averaged weights with the
    lowest held-out MPJPE, joint confidences calibrated at the end), `resume.pt`, `curve.csv` (one line a
    validation) and, where the tensorboard package is installed, its event files.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)  # every process starts from the same weights
    rank, processes, device = join_processes()
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)

    cpu_body = load_body(config.body)  # of the simulator and the validation, which stay there
    recorded = MotionLibrary(config.motions, "train")
    simulator = Simulator(recorded, cpu_body, config.seed, config.realism)
    measured = recordings(config, cpu_body)
    held_out, rendered = [], None
    if rank == 0:
        unseen_people = MotionLibrary(config.motions, "val")
        held_out = held_out_batches(unseen_people, cpu_body, config.validation_sequences)
        rendered = RenderedSet.load(*config.rendered) if config.rendered else None
    body = load_body(config.body, str(device))
    model = D3Pose(config.network)
    if config.initial_weights:
        start_from(model, load_model(config.initial_weights))
    if config.network.corrections:
        model.decoder.skeleton.use_body(cpu_body)
    model.to(device)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.average_decay))
    optimizer = Optimizer(
        model, config.optimizer, config.learning_rate, config.muon_rate, config.weight_decay
    )
    step, best, spent = resume(output / "resume.pt", model, averaged, optimizer)
    curves = Curves(output, enabled=rank == 0)
    if config.precision == "bfloat16":
        for part in (model.encoder, model.decoder):
            part.forward = in_bfloat16(part.forward, device)  # type: ignore[method-assign]
    if config.compile:
        model.encoder.compile()
        model.decoder.compile()
        if config.network.refinement:
            model.refinement.fit.compile()

    started = time.monotonic() - spent
    running: dict[str, float] = {}
    quiet = rank != 0
    with tqdm(total=config.steps, initial=step, desc="train", mininterval=5, disable=quiet) as bar:
        while step < config.steps:
            optimizer.set_rate(rate_factor(step, config))
            # A seed for each step and process, so that a resumed run goes on as if never stopped.
            simulator.rng.manual_seed((config.seed * 10**6 + step) * processes + rank)
            batch = draw(simulator, measured, config).to(device)
            ramp = (step / config.steps - config.own_outputs_from) / 0.2
            losses = training_losses(
                model,
                batch,
                config.own_outputs * min(1.0, max(0.0, ramp)),
                config.past_noise,
                body,
                simulator.rng,
            )
            loss = total_loss(losses, config.loss)
            optimizer.zero_grad()
            loss.backward()
            if processes > 1:
                average_gradients(model, processes)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(model)
            step += 1
            bar.update()
            for name, value in {**losses, "loss": loss}.items():
                now = float(value.detach())
                running[name] = 0.98 * running.get(name, now) + 0.02 * now
            bar.set_postfix(loss=f"{running['loss']:.3f}", joints=f"{running['joints']:.3f}")

            validating = step % config.validate_every == 0 or step == config.steps
            if rank == 0 and validating:
                spent = time.monotonic() - started
                kept = cast(D3Pose, copy.deepcopy(averaged.module)).cpu().eval()
                scores = score(kept, held_out, cpu_body)
                if rendered is not None:
                    found = limb_scores(kept, rendered, cpu_body)
                    scores |= {f"rendered_{name}": value for name, value in found.items()}
                held = {f"held_out_{name}": value for name, value in scores.items()}
                curves.add(step, {"seconds": spent, **running, **held})
                bar.write(json.dumps({"step": step} | {k: round(v, 2) for k, v in scores.items()}))
                if chosen_by(scores) < best:
                    best = chosen_by(scores)
                    notes = {
                        "step": step,
                        "held_out": {k: round(v, 3) for k, v in scores.items()},
                        "motions": [Path(m).name for m in config.motions],
                        "body": body.name,
                    }
                    save_model(kept, output / "best.safetensors", notes)
            if rank == 0 and (validating or step % RESUMABLE_EVERY == 0):
                spent = time.monotonic() - started
                progress = {"step": step, "best": best, "spent": spent}
                save_resume(output / "resume.pt", model, averaged, optimizer, progress)
    if rank == 0:
        calibrate_file(output / "best.safetensors", held_out, config.body)
    if processes > 1:
        dist.barrier()  # nobody leaves while the first process still scores
        dist.destroy_process_group()
    return output / "best.safetensors"


def calibrate_file(path: Path, held_out: list[TrainingBatch], body_name: str = "free-low") -> None:
    """Make the joint confidences of a finished network reliable, on people it was not trained on."""
    body, model = load_body(body_name), load_model(path)
    calibrate(model, joint_errors(model, held_out, body))
    error = reliability(joint_errors(model, held_out, body)).expected_error
    save_model(model, path, load_notes(path) | {"calibration_error": round(error, 4)})


def start_from(model: D3Pose, trained: D3Pose) -> None:
    """Take the weights of a trained network, which may have been made without corrections or refinement.

    A correction begins by changing nothing; a refinement, by following the fit to the landmarks, whose
    numbers are those of the trained network where it has them.

    Raises:
        InputError: the networks differ in more than that.
    """
    ours, theirs = model.state_dict(), trained.state_dict()
    added = ("decoder.corrections.", "decoder.skeleton.", "refinement.")
    foreign = [name for name in ours if name not in theirs and not name.startswith(added)]
    foreign += [
        name for name in theirs if name not in ours or theirs[name].shape != ours[name].shape
    ]
    if foreign:
        raise InputError(
            f"initial_weights are of another network: {foreign[:3]} do not fit; "
            "give `network` the sizes that the weights have"
        )
    model.load_state_dict(theirs, strict=False)


def recordings(config: TrainConfig, body: BodyModel) -> MeasuredClips | None:
    """Those that the run learns from, if any."""
    return MeasuredClips(config.measured, body, config.reposed) if config.measured else None


def draw(
    simulator: Simulator,
    measured: MeasuredClips | None,
    config: TrainConfig,
) -> TrainingBatch:
    """The next batch: simulated windows, and a share of measured ones."""
    of_measured = round(config.batch * config.measured_share) if measured else 0
    parts = [simulator.sample(config.batch - of_measured, config.frames)]
    if measured is not None and of_measured:
        parts.append(measured.sample(of_measured, config.frames, simulator.rng))
    batch = TrainingBatch.cat(parts)
    batch = without_rivals(batch, UNRIVALLED, simulator.rng)
    return with_landmarks_missing(batch, config.hidden, simulator.rng)


def without_rivals(batch: TrainingBatch, share: float, rng: torch.Generator) -> TrainingBatch:
    """In a `share` of the windows no landmark has rivals, as from observers that can't tell."""
    certainty = batch.observations.rival_certainty
    which = torch.rand(len(certainty), 1, 1, 1, generator=rng) < share
    observations = replace(batch.observations, rival_certainty=certainty.masked_fill(which, 0.0))
    return TrainingBatch(observations, batch.truth)


def with_landmarks_missing(
    batch: TrainingBatch, share: float, rng: torch.Generator
) -> TrainingBatch:
    """In a `share` of the windows up to `MOST_MISSING` of the landmarks are masked, others in every frame.

    What was seen in a recording is then not the same again, and the network learns to do with less.
    """
    if share <= 0:
        return batch
    presence = batch.observations.presence
    windows = len(presence)
    rate = MOST_MISSING * torch.rand(windows, 1, 1, generator=rng)
    rate = rate * (torch.rand(windows, 1, 1, generator=rng) < share)
    missing = torch.rand(presence.shape, generator=rng) < rate
    observations = replace(batch.observations, presence=presence.masked_fill(missing, 0.0))
    return TrainingBatch(observations, batch.truth)


def chosen_by(scores: dict[str, float]) -> float:
    """MPJPE, mm, of simulated people and, where given, rendered ones: the best has the least mean of both."""
    errors = [scores[name] for name in ("mpjpe", "rendered_mpjpe") if name in scores]
    return sum(errors) / len(errors)


def join_processes() -> tuple[int, int, torch.device]:
    """This process's rank, how many there are, and its device; one process unless `torchrun` started it."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cpu")
    if local < torch.cuda.device_count():
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if processes == 1:
        return 0, 1, device
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return dist.get_rank(), processes, device


def average_gradients(model: torch.nn.Module, processes: int) -> None:
    """Replace each process's gradients by their mean, in one message."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= processes
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def save_resume(path: Path, model, averaged, optimizer, progress: dict[str, float]) -> None:
    state = {
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": progress,
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def resume(path: Path, model, averaged, optimizer) -> tuple[int, float, float]:
    """Step, best score and seconds spent so far; zeros for a new run.

    Raises:
        InputError: the run in that folder was of another network.
    """
    if not path.is_file():
        return 0, float("inf"), 0.0
    state = torch.load(path, weights_only=True)
    try:
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} is of a run with another network ({error}); give another `output` or remove it"
        ) from error
    progress = state["progress"]
    return progress["step"], progress["best"], progress["spent"]
