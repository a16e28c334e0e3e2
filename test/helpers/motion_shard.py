"""A small motion shard of made-up people: they swing arms and legs while they walk in circles."""

from pathlib import Path

import numpy as np
import torch

from d3pose_core.body import load_body
from d3pose_core.data.landmark_noise import Realism
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.simulator import Simulator, TrainingBatch
from d3pose_core.skeleton import JOINT_NAMES

SPLITS = ("train", "train", "train", "val", "test")


def write_motion_shard(path: Path, frames: int = 90) -> Path:
    scale = 1e-4
    poses, roots = [], []
    for clip in range(len(SPLITS)):
        t = np.arange(frames) / 30.0
        pose = np.zeros((frames, 24, 3))
        pose[:, 0, 1] = 0.5 * t
        for side, sign in (("left", 1), ("right", -1)):
            swing = sign * np.sin(5 * t + clip)
            pose[:, JOINT_NAMES.index(f"{side}_hip"), 0] = 0.4 * swing
            pose[:, JOINT_NAMES.index(f"{side}_knee"), 0] = 0.4 + 0.3 * swing
            pose[:, JOINT_NAMES.index(f"{side}_shoulder"), 2] = -sign * 1.2
            pose[:, JOINT_NAMES.index(f"{side}_shoulder"), 0] = 0.3 * swing
        poses.append(pose.reshape(frames, 72))
        roots.append(np.stack([np.sin(0.5 * t), np.full(frames, 0.92), np.cos(0.5 * t)], 1))
    clips = len(SPLITS)
    rest = np.zeros((24, 3), np.float32)
    rest[:, 1] = -0.22
    rest[JOINT_NAMES.index("left_foot"), 1] = -1.14
    np.savez(
        path,
        pose_i16=np.rint(np.concatenate(poses) / scale).astype(np.int16),
        pose_scale=np.float32(scale),
        root=np.concatenate(roots).astype(np.float32),
        start=np.arange(clips + 1) * frames,
        split=np.array(SPLITS),
        label=np.array(["walk"] * (clips - 1) + ["sit"]),
        skel_J=rest,
    )
    return path


def simulated(folder: Path, frames: int, realism: Realism | None = None) -> TrainingBatch:
    """16 people of such a shard over so many frames at 30 Hz, as BlazePose would report them."""
    shard = write_motion_shard(folder / "made_up.npz")
    simulator = Simulator(MotionLibrary([shard], "train"), load_body("free-low"), 3, realism)
    times = torch.arange(frames).expand(16, frames) / 30.0
    return simulator.observe(simulator.motions.sample(times, simulator.rng), times)
