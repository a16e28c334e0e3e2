"""Makes recordings: scenes, drawn and watched, into one `RenderedSet`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from d3pose_core.body.arrays import BodyArrays
from d3pose_core.body.load import free_body_arrays, load_body
from d3pose_core.body.model import BodyModel
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.landmark_models import FULL
from tools.measure_landmarks.picture import Camera, landmark_depths
from tools.measure_landmarks.scenes import Scene, sample_scene
from tools.measure_landmarks.watch import ToldObserver, Watched, watch

_BODY = "free-mid"


class Studio:
    """All that clips are made of; clip `n` of a seed is always the same."""

    def __init__(
        self,
        motions: MotionLibrary,
        frames: int,
        rate_hz: float,
        seed: int,
        varied: bool = False,
        camera: type[Camera] = Camera,
    ):
        self._motions, self._frames, self._rate_hz, self._seed = motions, frames, rate_hz, seed
        self._varied, self._camera = varied, camera
        self._body: BodyModel = load_body(_BODY)
        self._arrays: BodyArrays = free_body_arrays(_BODY)
        self._depths = _depths_under_skin(self._body, self._arrays)

    def clip(self, number: int) -> tuple[Scene, Camera, int]:
        """The scene, its camera, and the clip's own seed."""
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        scene = sample_scene(
            self._motions, self._body, self._frames, self._rate_hz, seed, self._varied
        )
        return scene, self._camera(scene, self._arrays, self._depths, seed), seed


def _depths_under_skin(body: BodyModel, arrays: BodyArrays) -> np.ndarray:
    with torch.inference_mode():
        identity = torch.eye(3).expand(1, 24, 3, 3)
        landmarks = body.landmarks_matrices(identity, torch.zeros(1, 10), torch.zeros(1, 3))
    return landmark_depths(arrays.v_template, landmarks[0].numpy())


def record(
    studio: Studio, numbers: range, out: Path, save_every: int = 20, landmarks: str = FULL
) -> RenderedSet:
    """Clips `numbers` of a studio, watched by `landmarks`; what is done so far is saved now and then."""
    observer = ToldObserver(max_people=1, landmarks=landmarks, num_threads=1)
    rows: list[dict[str, np.ndarray]] = []
    for number in tqdm(numbers, desc=str(out), unit="clip"):
        scene, camera, seed = studio.clip(number)
        rows.append(_row(scene, watch(scene, camera, observer, seed=seed), number))
        if len(rows) % save_every == 0:
            _stacked(rows).save(out)
    recorded = _stacked(rows)
    recorded.save(out)
    return recorded


def shown(studio: Studio, numbers: range, keep: tuple[int, ...]) -> Iterator[tuple[Scene, Watched]]:
    """Clips with some of their images."""
    observer = ToldObserver(max_people=1, num_threads=1)
    for number in numbers:
        scene, camera, seed = studio.clip(number)
        yield scene, watch(scene, camera, observer, keep=keep, seed=seed)


def _row(scene: Scene, watched: Watched, number: int) -> dict[str, np.ndarray]:
    camera = scene.intrinsics
    seen = watched.seen[:, None]
    rival = watched.rival_certainty[..., None] > 0
    return {
        "rays": np.where(seen[..., None], camera.rays(watched.keypoints), 0.0),
        "depth_hint": watched.depth_hint / camera.fx,
        "landmarks": watched.landmarks,
        "visibility": watched.visibility,
        "presence": watched.presence,
        "certainty": watched.certainty,
        "rival_rays": np.where(rival, camera.rays(watched.rivals), 0.0),
        "rival_certainty": watched.rival_certainty,
        "score": watched.score,
        "seen": watched.seen,
        "stray": watched.stray,
        "start": watched.start,
        "sight": watched.sight,
        "times_s": scene.times_s,
        "true_landmarks": scene.landmarks,
        "rotations": scene.rotations,
        "betas": scene.betas,
        "pelvis": scene.pelvis,
        "joints": scene.joints,
        "camera_rotation": scene.camera_rotation,
        "camera_position": scene.camera_position,
        "camera": np.array(
            [camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height]
        ),
        "clip": np.array(number),
    }


def _stacked(rows: list[dict[str, np.ndarray]]) -> RenderedSet:
    def column(name: str) -> torch.Tensor:
        stacked = np.stack([row[name] for row in rows])
        if stacked.dtype == np.float64:
            stacked = stacked.astype(np.float32)
        return torch.from_numpy(stacked)

    return RenderedSet(**{name: column(name) for name in rows[0]})
