"""Plain motion capture: BVH files, retargeted to SMPL's rotations; no camera."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.retarget import retarget
from d3pose_core.data.datasets.sequence import Y_UP, DatasetPerson, DatasetSequence, SmplTrack
from d3pose_core.errors import InputError

_HELD_OUT_PERCENT = 10


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A BVH file's joints and motion, in its own unit of length and its own axes."""

    names: tuple[str, ...]  # J
    parents: tuple[int, ...]  # -1 for the root
    offsets: np.ndarray  # [J, 3] from the parent, rest pose
    rotations: np.ndarray  # [F, J, 3, 3] world
    positions: np.ndarray  # [F, J, 3] world
    frame_s: float

    @property
    def rest_positions(self) -> np.ndarray:
        """[J, 3] with all rotations zero."""
        positions = np.zeros((len(self.names), 3))
        for joint, parent in enumerate(self.parents):
            positions[joint] = self.offsets[joint] + (positions[parent] if parent >= 0 else 0)
        return positions


class Bvh(Dataset):
    """`SUBJECT/TAKE.bvh`; the y axis points up, as BVH usually has it.

    Splits are by subject (the folder): about a tenth of them, chosen by their names, is `test`. Betas are
    zero, lengths are scaled so that the legs are the free body's; `transl` is the free body's.
    """

    key = "bvh"
    title = "BVH motion capture"
    where_to_get = "e.g. http://mocap.cs.cmu.edu (CMU, converted to BVH) or your own recordings"
    layout = "SUBJECT/TAKE.bvh"
    splits = ("train", "test", "all")

    def _find(self) -> list[str]:
        names = [
            path.relative_to(self.root).with_suffix("").as_posix()
            for path in self.root.glob("*/*.bvh")
        ]
        return [n for n in names if self.split in ("all", split_of_subject(n.split("/")[0]))]

    def _load(self, name: str) -> DatasetSequence:
        path = self.need(self.root / f"{name}.bvh")
        skeleton = read_bvh(path)
        pose, transl = retarget(skeleton, str(path))
        frames = len(pose)
        subject = name.split("/")[0]
        smpl = SmplTrack("smpl", "neutral", np.zeros((frames, 10)), pose[:, 0], pose[:, 1:], transl)
        return DatasetSequence(
            dataset=self.key,
            name=name,
            split=split_of_subject(subject),
            subject=subject,
            frame_ids=np.arange(frames),
            times_s=np.arange(frames) * skeleton.frame_s,
            rotation=np.broadcast_to(np.eye(3), (frames, 3, 3)),
            translation=np.zeros((frames, 3)),
            people=(DatasetPerson(0, np.ones(frames, bool), smpl),),
            up=Y_UP,
        )


def split_of_subject(subject: str) -> str:
    """ "train" or "test", the same for a name for ever."""
    return "test" if zlib.crc32(subject.encode()) % 100 < _HELD_OUT_PERCENT else "train"


def read_bvh(path: Path) -> Skeleton:
    """Parse a BVH file and pose its skeleton.

    Raises:
        InputError: not one, or fewer numbers than it promises.
    """
    try:
        head, motion = path.read_text(encoding="latin1").split("MOTION", 1)
        names, parents, offsets, channels = _hierarchy(head)
        match = re.match(r"\s*Frames:\s*(\d+)\s*Frame Time:\s*(\S+)", motion)
        if match is None or not names:
            raise ValueError("no Frames or Frame Time")
        frames, frame_s = int(match.group(1)), float(match.group(2))
        values = np.array(motion[match.end() :].split(), np.float64)
        count = sum(map(len, channels))
        if len(values) < frames * count or not frames or not count or not 0 < frame_s < np.inf:
            raise ValueError(f"{frames} frames of {count} numbers announced, {len(values)} found")
        values = values[: frames * count].reshape(frames, count)
        if not (np.isfinite(values).all() and np.isfinite(offsets).all()):
            raise ValueError("it holds numbers that are not finite")
        rotations, positions = _pose(parents, offsets, channels, values)
    except (ValueError, IndexError, OSError) as error:
        raise InputError(f"{path} is no BVH file, or is cut off: {error}") from error
    return Skeleton(tuple(names), tuple(parents), offsets, rotations, positions, frame_s)


def _hierarchy(head: str) -> tuple[list[str], list[int], np.ndarray, list[list[str]]]:
    """Names, parents, offsets [J, 3] and channels of the joints; end sites are left out."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    stack: list[int] = []  # open joints; -1 an end site
    opening = -1
    for words in map(str.split, head.splitlines()):
        if not words:
            continue
        if words[0] in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else -1)
            names.append(" ".join(words[1:]))
            offsets.append([0.0, 0.0, 0.0])
            channels.append([])
            opening = len(names) - 1
        elif words[0] == "End":
            opening = -1
        elif words[0] == "{":
            stack.append(opening)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET" and stack[-1] >= 0:
            offsets[stack[-1]] = [float(word) for word in words[1:4]]
        elif words[0] == "CHANNELS":
            channels[stack[-1]] = [word.lower() for word in words[2 : 2 + int(words[1])]]
    return names, parents, np.array(offsets).reshape(-1, 3), channels


def _pose(
    parents: list[int], offsets: np.ndarray, channels: list[list[str]], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """World rotations [F, J, 3, 3] and positions [F, J, 3]."""
    frames, joints = len(values), len(parents)
    rotations, positions = np.empty((frames, joints, 3, 3)), np.empty((frames, joints, 3))
    column = 0
    for joint, parent in enumerate(parents):
        turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
        shift = np.tile(offsets[joint], (frames, 1))
        for channel in channels[joint]:
            axis, value = "xyz".index(channel[0]), values[:, column]
            column += 1
            if channel.endswith("position"):
                shift[:, axis] = value  # replaces the offset
            else:
                turn = turn @ about_axis(axis, np.radians(value))
        if parent < 0:
            rotations[:, joint], positions[:, joint] = turn, shift
        else:
            above = rotations[:, parent]
            rotations[:, joint] = above @ turn
            positions[:, joint] = positions[:, parent] + np.einsum("fij,fj->fi", above, shift)
    return rotations, positions


def about_axis(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations [F, 3, 3] about x, y or z by [F] rad."""
    after, last = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((len(angle), 3, 3))
    out[:, axis, axis] = 1
    out[:, after, after] = out[:, last, last] = np.cos(angle)
    out[:, last, after], out[:, after, last] = np.sin(angle), -np.sin(angle)
    return out
