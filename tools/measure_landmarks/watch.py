"""Runs the product's observer over a rendered clip."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from d3pose_core.data.rendered import Start
from d3pose_core.observe import BlazePoseObserver, PersonObservation
from d3pose_core.observe.observation import Detection, Roi
from d3pose_core.observe.roi import ROI_SCALE, roi_box
from d3pose_core.skeleton import LANDMARK_NAMES, NUM_LANDMARKS, RIVALS
from tools.measure_landmarks.picture import Camera
from tools.measure_landmarks.scenes import Scene

_PATIENCE = 12  # frames without the person, after which the observer is told where to look
_STRAY = 0.35  # mean limb distance, in person heights, beyond which it looks at something else
_LIMBS = [
    i
    for i, name in enumerate(LANDMARK_NAMES)
    if name.split("_")[-1] in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]
_OF_A_LANDMARK = (
    *("keypoints", "depth_hint", "landmarks", "visibility", "presence", "certainty"),
    *("rivals", "rival_certainty"),
)
_HIPS = [LANDMARK_NAMES.index("left_hip"), LANDMARK_NAMES.index("right_hip")]


class ToldObserver(BlazePoseObserver):
    """The product's observer, which can also be told where the person is."""

    def tell(self, image_bgr: np.ndarray, roi: Roi, stamp_s: float) -> bool:
        """Try to begin a track at `roi`; whether there is one now."""
        self._take_in(image_bgr, [Detection(roi_box(roi), 1.0, roi)], stamp_s)
        return bool(self._tracker.tracks)


@dataclass
class Watched:
    """What was reported of the one person over T frames; unseen frames are zero."""

    keypoints: np.ndarray  # [T, 33, 2] px
    depth_hint: np.ndarray  # [T, 33] px
    landmarks: np.ndarray  # [T, 33, 3] m
    visibility: np.ndarray  # [T, 33]
    presence: np.ndarray  # [T, 33]
    certainty: np.ndarray  # [T, 33]
    rivals: np.ndarray  # [T, 33, RIVALS, 2] px
    rival_certainty: np.ndarray  # [T, 33, RIVALS]
    score: np.ndarray  # [T]
    seen: np.ndarray  # [T] bool
    stray: np.ndarray  # [T] bool: somebody was reported, but not where the person is
    start: np.ndarray  # [T] int8, `Start`
    sight: np.ndarray  # [T, 33] int8, `Sight`
    images: dict[int, np.ndarray] = field(default_factory=dict)


def watch(scene: Scene, camera: Camera, observer: ToldObserver, keep=(), seed: int = 0) -> Watched:
    """One clip, from nothing; `keep`: frames whose images are wanted."""
    rng = np.random.default_rng(seed)
    frames = len(scene.times_s)
    out = Watched(
        keypoints=np.zeros((frames, NUM_LANDMARKS, 2), np.float32),
        depth_hint=np.zeros((frames, NUM_LANDMARKS), np.float32),
        landmarks=np.zeros((frames, NUM_LANDMARKS, 3), np.float32),
        visibility=np.zeros((frames, NUM_LANDMARKS), np.float32),
        presence=np.zeros((frames, NUM_LANDMARKS), np.float32),
        certainty=np.zeros((frames, NUM_LANDMARKS), np.float32),
        rivals=np.zeros((frames, NUM_LANDMARKS, RIVALS, 2), np.float32),
        rival_certainty=np.zeros((frames, NUM_LANDMARKS, RIVALS), np.float32),
        score=np.zeros(frames, np.float32),
        seen=np.zeros(frames, bool),
        stray=np.zeros(frames, bool),
        start=np.zeros(frames, np.int8),
        sight=np.zeros((frames, NUM_LANDMARKS), np.int8),
    )
    observer.reset()
    absent, told = 0, False
    for t, stamp in enumerate(scene.times_s.astype(float)):
        image, out.sight[t] = camera.take(t)
        if t in keep:
            out.images[t] = image
        people = observer(image, stamp)
        if people:
            person = people[0]
            out.stray[t] = _is_stray(scene, t, person)
            out.seen[t] = not out.stray[t]
        if out.seen[t]:
            for name in _OF_A_LANDMARK:
                getattr(out, name)[t] = getattr(person, name)
            out.score[t] = person.score
            if t == 0 or not out.seen[t - 1]:
                out.start[t] = Start.TOLD if told else Start.FOUND
            absent, told = 0, False
            continue
        absent += 1
        if absent >= _PATIENCE:
            if out.stray[t]:
                observer.reset()
            told = observer.tell(image, _true_roi(scene, t, rng), stamp)
            # Only confirmed people are reported, some frames after.
            absent = _PATIENCE - 5
    return out


def _true_roi(scene: Scene, t: int, rng: np.random.Generator) -> Roi:
    """The ROI of the true landmarks, jittered by a tenth of its size and 10 degrees."""
    landmarks = scene.landmarks[t].copy()
    landmarks[:, 2] = landmarks[:, 2].clip(0.2)
    pixels = scene.intrinsics.project(landmarks)
    hips = pixels[_HIPS].mean(0)
    top = pixels[:11].mean(0) - hips
    radius = np.linalg.norm(pixels - hips, axis=1).max()
    size = 2 * ROI_SCALE * radius * np.exp(rng.normal(0, 0.1))
    angle = np.arctan2(top[0], -top[1]) + rng.normal(0, np.radians(10))
    center = hips + rng.normal(0, 0.05, 2) * size
    return Roi(center.astype(np.float32), float(size), float(angle))


def _is_stray(scene: Scene, t: int, person: PersonObservation) -> bool:
    landmarks = scene.landmarks[t]
    height = 1.7 * scene.intrinsics.fy / landmarks[_HIPS, 2].mean()
    apart = person.keypoints[_LIMBS] - scene.intrinsics.project(landmarks[_LIMBS])
    return bool(np.nanmean(np.linalg.norm(apart, axis=1)) > _STRAY * height)
