"""`python -m tools.render_crops`: see the package's docstring."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from d3pose_core.body.arrays import BodyArrays
from d3pose_core.camera import Intrinsics
from d3pose_core.data.image_clips import ImageClips
from d3pose_core.data.motions import MotionLibrary
from tools.measure_landmarks.picture import Camera
from tools.measure_landmarks.record import Studio
from tools.measure_landmarks.scenes import Scene

# Of the person's extent: the room around a detector's box, and how much the box errs from frame to frame.
_ROOM, _BOX_NOISE = 1.25, 0.03


class PlainCamera(Camera):
    """The same outfit, light and sensor in every clip, a grey wall, and nothing before the person."""

    def __init__(self, scene: Scene, body: BodyArrays, depth_under_skin: np.ndarray, seed: int):
        super().__init__(scene, body, depth_under_skin, seed=0)
        self._background = _Wall(scene.intrinsics)
        self._obstacle, self._blur, self._noise = None, 0.0, 0.0


class _Wall:
    """A grey one, which looks the same from everywhere."""

    def __init__(self, intrinsics: Intrinsics) -> None:
        self._image = np.full((intrinsics.height, intrinsics.width, 3), 128, np.uint8)

    def seen_after(self, turn: np.ndarray) -> np.ndarray:
        return self._image.copy()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.render_crops")
    parser.add_argument("--motions", type=Path, nargs="+", required=True, help="shards (.npz)")
    parser.add_argument("--split", default="train", help="train, val or test (default: train)")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second")
    parser.add_argument("--size", type=int, default=112, help="px, side of the crops")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="everybody in the same clothes and light before one grey wall, with nothing in the way: what a "
        "small network learns from in minutes",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="CLIPS.npz")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    motions = MotionLibrary(args.motions, args.split)
    kind = PlainCamera if args.plain else Camera
    studio = Studio(motions, args.frames, args.rate, args.seed, camera=kind)
    rows = []
    for number in tqdm(range(args.clips), desc=str(args.out), unit="clip"):
        scene, camera, seed = studio.clip(number)
        images = [camera.take(t)[0] for t in range(len(scene.times_s))]
        rows.append(_row(scene, images, args.size, np.random.default_rng(seed)))
    ImageClips(**{name: np.stack([row[name] for row in rows]) for name in rows[0]}).save(args.out)
    print(args.out)


def _row(
    scene: Scene, images: list[np.ndarray], size: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    intrinsics = scene.intrinsics
    pixels = intrinsics.project(scene.landmarks)  # [T, 33, 2]
    low, high = pixels.min(1), pixels.max(1)
    side = _ROOM * (high - low).max(1) * (1 + _BOX_NOISE * rng.normal(size=len(low)))
    center = (low + high) / 2 + _BOX_NOISE * side[:, None] * rng.normal(size=(len(low), 2))
    inside = (center > 0) & (center < [intrinsics.width, intrinsics.height])
    world = np.einsum("tji,tkj->tki", scene.camera_rotation, scene.joints)
    return {
        "images": np.stack(
            [_crop(image, c, s, size) for image, c, s in zip(images, center, side, strict=True)]
        ),
        "center": intrinsics.rays(center).astype(np.float32),
        "size": (side / intrinsics.fx).astype(np.float32),
        "seen": inside.all(1),
        "times_s": scene.times_s.astype(np.float32),
        "rotations": scene.rotations,
        "betas": scene.betas,
        "pelvis": scene.pelvis,
        "joints": scene.joints,
        "world_joints": (world + scene.camera_position[:, None]).astype(np.float32),
    }


def _crop(image: np.ndarray, center: np.ndarray, side: float, size: int) -> np.ndarray:
    """[size, size, 3] uint8 R, G, B; black where the box leaves the image."""
    scale = size / side
    # Pixel centres lie on whole numbers: the box's corner, half a pixel out, goes to -0.5.
    offset = (size - 1) / 2 - scale * center
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    if scale < 1:  # warpAffine doesn't average over what it shrinks
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)[..., ::-1].copy()


if __name__ == "__main__":
    main()
