"""Motion capture as a shard for training: what `MotionLibrary` reads."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from d3pose_core.array_file import read_arrays
from d3pose_core.body import load_body
from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.sequence import DatasetSequence
from d3pose_core.data.datasets.world_to_camera import WHY_BODIES, Bodies
from d3pose_core.data.motions import SHARD_FPS
from d3pose_core.errors import InputError
from d3pose_core.parts import Parts
from d3pose_core.recording import atomic_path

_POSE_SCALE = 1e-4  # rad: +-3.27 rad in 16 bits
_SPLITS = {"validation": "val"}  # all others keep their names
_SHORTEST = 10  # frames at 30 Hz


def write_motion_shard(path: Path, dataset: Dataset, bodies: Bodies | None) -> tuple[int, float]:
    """All of a dataset's clips at 30 Hz, y up; returns how many, and their length in s.

    What is done lies beside `path` until all is: started again, it goes on where it was interrupted.

    Args:
        bodies: the SMPL bodies of the clips' betas; BVH clips are the free body's already.

    Raises:
        InputError: no body, or no clip long enough.
    """
    if dataset.key == "bvh":
        free = load_body("free-low")
        bodies = lambda gender: free  # noqa: E731
    if bodies is None:
        raise InputError(f"{dataset.title}: {WHY_BODIES}")
    rest = bodies("neutral").joints_rest(torch.zeros(1, 10))[0]
    body = sha256(rest.numpy().tobytes()).hexdigest()
    settings = {"dataset": dataset.key, "root": str(dataset.root.resolve()), "body": body}
    folder = path.with_name(f".{path.name}.parts")
    parts = Parts(folder, settings | {"split": dataset.split}, resume=True)
    poses: list[np.ndarray] = []
    roots: list[np.ndarray] = []
    starts = [0]
    names: list[str] = []
    splits: list[str] = []
    labels: list[str] = []
    for sequence in dataset.names:
        for clip in _clips_of(sequence, dataset, bodies, rest, parts.path(sequence)):
            poses.append(clip["pose"])
            roots.append(clip["root"])
            starts.append(starts[-1] + len(clip["pose"]))
            for texts, name in ((names, "name"), (splits, "split"), (labels, "label")):
                texts.append(str(clip[name]))
    if not poses:
        parts.forget()
        raise InputError(f"{dataset.title}: no clip of at least {_SHORTEST} frames at 30 Hz")
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(
            file,
            pose_i16=np.concatenate(poses),
            pose_scale=np.float32(_POSE_SCALE),
            root=np.concatenate(roots),
            start=np.array(starts),
            name=np.array(names),
            split=np.array(splits),
            label=np.array(labels),
            skel_J=rest.numpy(),
        )
    parts.forget()
    return len(poses), starts[-1] / SHARD_FPS


def _clips_of(
    name: str, dataset: Dataset, bodies: Bodies, rest: Tensor, path: Path
) -> list[dict[str, np.ndarray]]:
    """The clips of one sequence, out of `path` or into it."""
    if not path.is_file():
        arrays: dict[str, np.ndarray] = {}
        clips = _clips(dataset.load(name), dataset.key, bodies, rest)
        for number, (clip_name, split, label, pose, root) in enumerate(clips):
            clip: dict[str, np.ndarray] = {
                "pose": np.rint(pose / _POSE_SCALE).astype(np.int16),
                "root": root.astype(np.float32),
                "name": np.array(clip_name),
                "split": np.array(split),
                "label": np.array(label),
            }
            arrays |= {f"{number} {what}": value for what, value in clip.items()}
        with atomic_path(path) as partial, open(partial, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    found: dict[str, dict[str, np.ndarray]] = {}
    for entry, value in read_arrays(path).items():
        number_, what = entry.split(" ")
        found.setdefault(number_, {})[what] = value
    return list(found.values())


def _clips(
    sequence: DatasetSequence, key: str, bodies: Bodies, rest: Tensor
) -> Iterator[tuple[str, str, str, np.ndarray, np.ndarray]]:
    """Name, split, label, pose [F, 72] and pelvis [F, 3] of each clip."""
    for person in sequence.people:
        smpl = person.need_smpl()
        betas = torch.from_numpy(np.array(smpl.betas[:1], np.float32))
        own_rest = bodies(smpl.gender).joints_rest(betas)[0]
        # The shard's motions are all of one body's size: short legs take longer steps there.
        size = float(_leg(rest) / _leg(own_rest))
        pelvis = torch.from_numpy(np.ascontiguousarray(smpl.transl)) + own_rest[0].double()
        pose, root = _at_30_hz(sequence, torch.from_numpy(smpl.pose), pelvis * size)
        if len(pose) >= _SHORTEST:
            split = _SPLITS.get(sequence.split, sequence.split)
            yield f"{key}/{sequence.name}", split, sequence.action or "other", pose, root


def _leg(rest: Tensor) -> Tensor:
    """How high the pelvis stands over the lowest joint."""
    return rest[0, 1] - rest[:, 1].min()


def _at_30_hz(
    sequence: DatasetSequence, pose: Tensor, pelvis: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Pose [F, 24, 3] and pelvis [F, 3] turned y up, and interpolated: [G, 72] and [G, 3]."""
    turn = _y_up(sequence.up)
    rotations = roma.rotvec_to_rotmat(pose)
    rotations[:, 0] = turn @ rotations[:, 0]
    quaternions = roma.rotmat_to_unitquat(rotations)
    times = torch.from_numpy(np.ascontiguousarray(sequence.times_s))
    wanted = torch.arange(0, float(times[-1]) + 1e-9, 1 / SHARD_FPS, dtype=torch.float64)
    last = len(times) - 1
    after = torch.searchsorted(times, wanted).clamp(min(1, last), last)
    before = (after - 1).clamp_min(0)
    step = (times[after] - times[before]).clamp_min(1e-9)
    blend = ((wanted - times[before]) / step).clamp(0, 1)
    q0, q1 = quaternions[before], quaternions[after]
    q1 = torch.where((q0 * q1).sum(-1, keepdim=True) < 0, -q1, q1)
    mixed = torch.lerp(q0, q1, blend[:, None, None])
    rotvec = roma.unitquat_to_rotvec(torch.nn.functional.normalize(mixed, dim=-1))
    root = torch.lerp(pelvis[before], pelvis[after], blend[:, None]) @ turn.T
    return rotvec.reshape(-1, 72).numpy(), root.numpy()


def _y_up(up: np.ndarray | None) -> Tensor:
    """The rotation that turns a world's vertical to +y; a world of unknown vertical is an error."""
    if up is None:
        raise InputError(
            "which way is up in this dataset isn't known: it can't train the simulator"
        )
    if up[1] > 0.5:
        return torch.eye(3, dtype=torch.float64)
    return torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
