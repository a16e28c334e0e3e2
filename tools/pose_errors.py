"""How a network's poses err, for d3pose_core/model/fit.py:

    python -m tools.pose_errors SHARD.npz --weights W [--sequences 256] --out pose_errors.npz

It writes the covariance, about nothing, of what the truth is away from a network's poses on simulated
observations of the training people, half of them with landmarks as exact as those of a real person. People
taken the wrong way round say nothing of it. Body and camera are symmetric, and so is the covariance. With it
goes where BlazePose's landmarks lie on the body. What ships is of 128 sequences of motions_cmu_accad.npz and
stage 10 of the weights (docs/training.md); its `definition` is written anew with each fit of the errors, and
weights carry the one that they were trained with.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from d3pose_core.body import load_body
from d3pose_core.body.model import forward_kinematics
from d3pose_core.data.error_statistics import fitted_statistics
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.evaluation.held_out import held_out_batches, with_sides_kept
from d3pose_core.evaluation.robustness import CLEAR
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.fit import FITTED_JOINTS
from d3pose_core.model.tokens import tokenize
from d3pose_core.model.view import into_view, place_of
from d3pose_core.skeleton import (
    JOINT_MIRROR,
    JOINT_PARENTS,
    LANDMARK_NAMES,
    MIRRORED_POINT,
    NUM_LANDMARKS,
)

LARGEST_RAD = 1.2  # of one joint; what is further off is a mistake of another kind
TURNED_RAD = 1.0  # the whole body's, beyond which it was taken the wrong way round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("shards", nargs="+", help="motion shards (docs/training.md)")
    parser.add_argument("--weights", required=True, help="of a network without refinement")
    parser.add_argument("--sequences", type=int, default=256, help="of 3 s, of either kind")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)

    body, model = load_body("free-low"), load_model(args.weights)
    if model.config.refinement:
        parser.error(
            f"{args.weights} corrects its poses already; give a network with `refinement: false`"
        )
    run = partial(with_sides_kept, body=body)
    parts = []
    for size in (CLEAR, 1.0):
        people = MotionLibrary(args.shards, "train")
        realism = Realism(errors=size)
        for batch in held_out_batches(people, body, args.sequences, realism=realism):
            recovered = run(model, batch)
            parts.append(pose_errors(model, batch, recovered.rotations, recovered.pelvis))
    errors = torch.cat(parts)
    both = torch.cat([errors, mirrored(errors)])
    covariance = both.T @ both / len(both)
    spread = covariance.diagonal().sqrt()
    print(f"{len(errors)} poses; degrees off, of each joint about x, y, z of the view camera:")
    print((spread[:-3] * 180 / torch.pi).round().int().view(-1, 3).tolist())
    np.savez_compressed(
        args.out,
        covariance=covariance.numpy().astype(np.float32),
        definition=definition().numpy().astype(np.float32),
    )


def pose_errors(model: D3Pose, batch: TrainingBatch, rotations: Tensor, pelvis: Tensor) -> Tensor:
    """[N, fit.FIT_SIZE] of the frames in which the person was seen, see `fit.Fit`."""
    view = tokenize(batch.observations, model.config.min_presence).view
    found, truth = into_view(rotations, view), into_view(batch.truth.rotations, view)
    world = forward_kinematics(found.flatten(0, 1), torch.zeros(1, 24, 3))[..., :3, :3]
    parents = world[:, list(JOINT_PARENTS[1:FITTED_JOINTS])].unflatten(0, found.shape[:2])
    turn = roma.rotmat_to_rotvec(truth @ found.transpose(-1, -2))[:, :, :FITTED_JOINTS]
    below = (parents @ turn[:, :, 1:, :, None])[..., 0]
    turn = torch.cat([turn[:, :, :1], below], 2)
    known = batch.observations.seen & (turn[:, :, 0].norm(dim=-1) < TURNED_RAD)
    turn = turn.clamp(-LARGEST_RAD, LARGEST_RAD).flatten(2)
    place = place_of(batch.truth.pelvis, view) - place_of(pelvis, view)
    return torch.cat([turn, place], -1)[known]


def mirrored(errors: Tensor) -> Tensor:
    """The same of people and cameras seen in a mirror."""
    turn = errors[:, :-3].unflatten(1, (-1, 3))[:, list(JOINT_MIRROR[:FITTED_JOINTS])]
    turn = turn * torch.tensor([1.0, -1.0, -1.0])
    place = errors[:, -3:] * torch.tensor(MIRRORED_POINT)
    return torch.cat([turn.flatten(1), place], 1)


def definition() -> Tensor:
    """[33, 33] BlazePose's landmarks about the pelvis as combinations of the body's."""
    hips = [LANDMARK_NAMES.index(f"{side}_hip") for side in ("left", "right")]
    middle = torch.zeros(NUM_LANDMARKS, NUM_LANDMARKS)
    middle[:, hips] = 0.5
    return middle + fitted_statistics().definition @ (torch.eye(NUM_LANDMARKS) - middle)


if __name__ == "__main__":
    main()
