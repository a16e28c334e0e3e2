"""From images to people: the streaming pipeline, and the one class that most users need.

from d3pose_core import Intrinsics, MeshRecovery

recovery = MeshRecovery.from_pretrained("d3pose-landmarks")
people = recovery(image_bgr, stamp_s, Intrinsics.from_hfov(60, 640, 480))
vertices = recovery.body.vertices(people[0])  # [V, 3] m, camera optical frame
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import is_
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor

from d3pose_core.body import BodyModel, load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.errors import InputError
from d3pose_core.landmark_models import FULL
from d3pose_core.lean import turn_upright
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.confidence import probability_within
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.model.decoder import PosePrediction
from d3pose_core.model.tokens import ObservationBatch
from d3pose_core.model.view import ViewCamera, out_of_view, pelvis_of
from d3pose_core.observe import BlazePoseObserver, PersonObservation, PersonObserver
from d3pose_core.rigid import rotation_matrix, rotation_vector
from d3pose_core.runtime import AUTO
from d3pose_core.runtime.both_ways import BothWays
from d3pose_core.runtime.choice import StepRuntime, open_runtime
from d3pose_core.sides import LOST_S, SideVotes, keep_sides
from d3pose_core.skeleton import NUM_JOINTS, NUM_LANDMARKS, RIVALS
from d3pose_core.smoothing import OneEuroFilter

# A person out of sight for longer starts afresh: the network was trained on gaps of this length.
MEMORY_S = 1.0
# A person whom the landmark network loses for a moment is carried on in their last pose, ever less
# confidently; the message says how old the observation is.
CARRY_S = 0.3
# One camera sees direction well and distance badly: the logarithm of the distance is smoothed. Chosen
# on held-out motion, where it more than halves the pelvis' acceleration error and leaves the position
# as good as it was (benchmarks/distance_smoothing.py).
DISTANCE_CUTOFF_HZ = 1.0
DISTANCE_SPEED_GAIN = 4.0
# What "confident" means for a joint: the probability that it lies within this distance.
CONFIDENT_WITHIN_M = 0.10


@dataclass(frozen=True, eq=False)
class RecoveredPerson:
    """One person in one frame, as an SMPL body in the camera's optical frame; float32 arrays."""

    track_id: int
    confidence: float  # 0..1 that this is a person
    global_orient: (
        np.ndarray
    )  # [3] axis-angle, rad: turns the body (y up, facing +z) into the frame
    body_pose: np.ndarray  # [23, 3] axis-angle, rad, each joint relative to its parent
    betas: np.ndarray  # [10] shape, of the body model in use
    transl: np.ndarray  # [3] m, smplx's `transl`: vertices = LBS(betas, pose) + transl
    joints: np.ndarray  # [24, 3] m
    joints_2d: np.ndarray  # [24, 2] px
    joint_confidence: np.ndarray  # [24] 0..1 that the joint lies within CONFIDENT_WITHIN_M
    observation_age_s: float  # how old the newest observation of this person is (0: this frame)
    # Sole to crown, m: that of `betas`; and how sure it is (0 where it was given). Distances err alike.
    stature_m: float = float("nan")
    stature_std_m: float = float("nan")

    def placed(self, pelvis: np.ndarray, root: np.ndarray) -> RecoveredPerson:
        """The person with their pelvis joint at `pelvis` [3], m, and turned by `root` [3, 3] there.

        The pixels `joints_2d` stay as they are.
        """
        old_pelvis = np.asarray(self.joints[0], np.float64)
        old_root = rotation_matrix(np.asarray(self.global_orient, np.float64))
        turn = root @ old_root.T
        joints = pelvis + (np.asarray(self.joints, np.float64) - old_pelvis) @ turn.T
        # SMPL's root turns the body about the pelvis joint, so where that joint rests stays in `transl`.
        rest_pelvis = old_pelvis - np.asarray(self.transl, np.float64)
        return replace(
            self,
            global_orient=rotation_vector(root).astype(np.float32),
            transl=(pelvis - rest_pelvis).astype(np.float32),
            joints=joints.astype(np.float32),
        )


@dataclass
class _Track:
    """One person between frames; what the network remembers of them is in `MeshRecovery._state`."""

    stamp_s: float  # of the newest frame that the network has seen
    seen_s: float  # of the newest frame in which the person was seen
    distance: OneEuroFilter = field(
        default_factory=lambda: OneEuroFilter(DISTANCE_CUTOFF_HZ, DISTANCE_SPEED_GAIN)
    )
    last: RecoveredPerson | None = None  # as of `seen_s`
    side_votes: SideVotes = field(default_factory=lambda: SideVotes.none(1))

    def carried_on(self, stamp_s: float) -> list[RecoveredPerson]:
        """The person out of sight for at most CARRY_S, or nobody."""
        age = stamp_s - self.seen_s
        if self.last is None or age > CARRY_S:
            return []
        left = 1 - age / CARRY_S
        return [
            replace(
                self.last,
                confidence=self.last.confidence * left,
                joint_confidence=self.last.joint_confidence * np.float32(left),
                observation_age_s=age,
            )
        ]


class MeshRecovery:
    """People in a stream of images, frame by frame, with no look-ahead and at constant cost.

    Attributes:
        body: the body model that poses refer to.
        stage_times_ms: what the last frame cost: "observe", "network", "body".
        not_finite: how many people of the last frame were left out because their numbers were not finite.
        turned: how many were taken the other way round than the landmark network saw them (`sides`).
        smooth_distance: whether distances from the camera are smoothed. Not where `world.PeopleInWorld`
            follows: a moving camera's distances change though people stand still.
    """

    smooth_distance = True

    def __init__(
        self,
        observer: PersonObserver,
        model: D3Pose,
        body: BodyModel,
        weights: str = "",
        stature_m: float | None = None,
        runtime: str | StepRuntime = AUTO,
    ) -> None:
        """Prefer `from_pretrained`; `weights` is the name that reports show.

        `runtime`: by name, to be run both ways (`runtime.both_ways`); or one that is run as it is.
        """
        if stature_m is not None and not 0.4 <= stature_m <= 2.6:
            raise InputError(
                f"stature_m must be 0.4 to 2.6 m, or None to estimate; got {stature_m}"
            )
        self.observer, self.model, self.body, self.weights = observer, model.eval(), body, weights
        self.stature_m = stature_m
        if isinstance(runtime, str):
            runtime = BothWays(open_runtime(model, runtime))
        self.step = runtime
        self.device = next(model.parameters()).device
        self.stage_times_ms: dict[str, float] = {}
        self.not_finite = 0
        self.turned = 0
        self._tracks: dict[int, _Track] = {}
        self._remembered: list[_Track] = []  # whose rows `_state` has
        self._state: Any = None
        self._stamp_s = -np.inf

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "d3pose-landmarks",
        device: str = "cpu",
        body: str | Path = "free-low",
        max_people: int = 5,
        observer: PersonObserver | None = None,
        stature_m: float | None = None,
        runtime: str = AUTO,
        landmarks: str = FULL,
    ) -> MeshRecovery:
        """A ready pipeline.

        Args:
            name_or_path: shipped weights by name, or a .safetensors file of `d3pose train`.
            device: a torch device for network and body; landmarks are found on the CPU.
            body: "free-low", "free-mid", "free-full", or a licensed SMPL file's path.
            max_people: at most so many are tracked at once.
            observer: finds people and landmarks; BlazePose if None.
            stature_m: how tall the people are, if known, 0.4 to 2.6 m: sets the scale of bodies and
                distances, which one camera cannot see. None estimates it, person by person.
            runtime: what executes the network, see `d3pose_core.runtime`: "auto" (the fastest that works
                on the device), "torch", "onnx" or "cuda-graph".
            landmarks: BlazePose's landmark network, where `observer` is None: "full"; "heavy", which is
                four times slower and more exact; "full-both-ways" or "heavy-both-ways", which look at
                everybody's mirror image, too: twice as slow and more exact; or another one's .tflite file.

        Raises:
            ModelFileMissing: run `d3pose models fetch`.
            InputError: no such weights, body, device, runtime or landmark network.
        """
        try:
            # There are devices that hold no numbers, such as "meta".
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"cannot use device {device!r}: {error}; try 'cpu'") from error
        if observer is None:
            observer = BlazePoseObserver(max_people, landmarks=landmarks)
        model = load_model(name_or_path, device)
        loaded = load_body(body, device)
        return cls(observer, model, loaded, str(name_or_path), stature_m, runtime)

    def another(self, observer: PersonObserver, stature_m: float | None = None) -> MeshRecovery:
        """A pipeline for another stream of images, with the same network and body in memory."""
        return MeshRecovery(observer, self.model, self.body, self.weights, stature_m, self.step)

    def reset(self) -> None:
        """Forget everybody; track ids go on counting."""
        self.observer.reset()
        self._tracks.clear()
        self._stamp_s = -np.inf

    def limit(self, max_people: int) -> None:
        """Recover at most so many people from the next frame on, if the observer can be told so."""
        if isinstance(self.observer, BlazePoseObserver):
            self.observer.limit(max_people)

    def memory(self) -> dict[str, Any]:
        """What is remembered between two frames, for `recall`; `snapshot` keeps it in a file.

        Raises:
            InputError: the observer is none that can tell.
        """
        if not isinstance(self.observer, BlazePoseObserver):
            raise InputError(f"{type(self.observer).__name__} can't say what it remembers")
        return {
            "observer": self.observer.memory(),
            "stamp_s": self._stamp_s,
            "tracks": self._tracks,
            "remembered": self._remembered,
            "states": self._state.split() if self._remembered else [],
        }

    def recall(self, memory: dict[str, Any]) -> None:
        """Go on as the recovery that `memory` is from would have; one of the same options.

        Raises:
            InputError: `memory` is not from one like this.
        """
        if not isinstance(self.observer, BlazePoseObserver):
            raise InputError(f"{type(self.observer).__name__} can't be told what to remember")
        remembered = memory["remembered"]
        try:
            state = self.step.stack(memory["states"]) if remembered else None
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"what is to be remembered is of another runtime, or of an earlier version: {error}"
            ) from error
        self.observer.recall(memory["observer"])
        self._stamp_s, self._tracks = memory["stamp_s"], memory["tracks"]
        self._remembered, self._state = remembered, state

    def __call__(
        self,
        image_bgr: np.ndarray,
        stamp_s: float,
        intrinsics: Intrinsics,
        up: np.ndarray | None = None,
    ) -> list[RecoveredPerson]:
        """The people in one frame.

        Args:
            image_bgr: uint8 [H, W, 3].
            stamp_s: when it was taken, s. An earlier stamp than the last starts afresh.
            intrinsics: of this image.
            up: [3], against gravity, of any length, in the camera's optical frame; None: not known. How far
                people lean towards the camera is hardly seen: where this is known, a part is turned back, see
                `lean`.

        Raises:
            InputError: the image is not as above, or has another size than the intrinsics say; or `up` is no
                direction.
        """
        started = time.perf_counter()
        height, width = np.shape(image_bgr)[:2] if np.ndim(image_bgr) >= 2 else (0, 0)
        if (width, height) != (intrinsics.width, intrinsics.height) and width * height:
            raise InputError(
                f"the image is {width} x {height} but the intrinsics are for "
                f"{intrinsics.width} x {intrinsics.height}"
            )
        up = _direction(up)  # before anything remembers this frame
        if stamp_s < self._stamp_s:
            self.reset()
        observations = self.observer(image_bgr, stamp_s)
        self._stamp_s = stamp_s
        observed = time.perf_counter()
        people = self.recover(observations, stamp_s, intrinsics, up)
        self.stage_times_ms["observe"] = 1e3 * (observed - started)
        return people

    @torch.inference_mode()
    def recover(
        self,
        observations: list[PersonObservation],
        stamp_s: float,
        intrinsics: Intrinsics,
        up: np.ndarray | None = None,
    ) -> list[RecoveredPerson]:
        """The part after `observer`: people from their landmarks in one frame."""
        started = time.perf_counter()
        up = _direction(up)
        self.not_finite = self.turned = 0
        seen = {observation.track_id: observation for observation in observations}
        self._tracks = {
            track_id: track
            for track_id, track in self._tracks.items()
            if stamp_s - track.seen_s <= MEMORY_S
        }
        for track_id in seen.keys() - self._tracks.keys():
            self._tracks[track_id] = _Track(stamp_s, stamp_s)
        if not self._tracks:
            self.stage_times_ms.update(network=0.0, body=0.0)
            return []

        # Those remembered but not seen take the step too, masked, so that their past stays
        # complete.
        ids = sorted(self._tracks)
        tracks = [self._tracks[track_id] for track_id in ids]
        observed = [seen.get(track_id) for track_id in ids]
        frame = self._batch(observed, tracks, stamp_s, intrinsics)
        frame = self._keep_sides(frame, tracks, stamp_s).to(self.device)
        prediction, view, self._state = self.step.step(frame, self._state_of(tracks))
        self._remembered = tracks
        for track_id, track in zip(ids, tracks, strict=True):
            track.stamp_s = stamp_s
            if track_id in seen:
                track.seen_s = stamp_s
        stepped = time.perf_counter()

        places = self._places(prediction, view, tracks, stamp_s)
        people = self._people(observed, prediction, view, places, intrinsics)
        known = [person for person in people if _is_finite(person)]
        self.not_finite = len(people) - len(known)
        if self.not_finite:
            # What is no number stays in the network's memory: these people start afresh.
            for track_id in seen.keys() - {person.track_id for person in known}:
                del self._tracks[track_id]
            tracks = list(self._tracks.values())
            people = known
        for person in people:
            self._tracks[person.track_id].last = person
        for track in tracks:
            if track.seen_s < stamp_s:
                people += track.carried_on(stamp_s)
        people.sort(key=lambda person: person.track_id)
        # What the next frame is compared with (`sides`) stays as it was seen.
        if up is not None and people:
            people = _upright(people, up, intrinsics)
        self.stage_times_ms.update(
            network=1e3 * (stepped - started), body=1e3 * (time.perf_counter() - stepped)
        )
        return people

    def _state_of(self, tracks: list[_Track]) -> Any:
        """The network's state for these people in this order; it lies ready unless somebody came or went."""
        if len(tracks) == len(self._remembered) and all(map(is_, tracks, self._remembered)):
            return self._state
        rows = [] if self._state is None else self._state.split()
        kept = {id(track): row for track, row in zip(self._remembered, rows, strict=True)}
        return self.step.stack([kept.get(id(t)) or self.step.initial_state(1) for t in tracks])

    def _batch(
        self,
        observations: list[PersonObservation | None],
        tracks: list[_Track],
        stamp_s: float,
        intrinsics: Intrinsics,
    ) -> ObservationBatch:
        """One frame of each track, [B, 1, ...]; None is a person not seen."""

        def rows(values: Sequence[np.ndarray | None], *shape: int) -> Tensor:
            filled = [np.zeros(shape) if value is None else value for value in values]
            return torch.from_numpy(np.stack(filled).astype(np.float32)[:, None])

        def field(name: str, *shape: int) -> Tensor:
            values = [None if o is None else getattr(o, name) for o in observations]
            return rows(values, NUM_LANDMARKS, *shape)

        places = [None if o is None else intrinsics.rays(_places(o)) for o in observations]
        rays = rows(places, NUM_LANDMARKS, 1 + RIVALS, 2)
        steps = [np.asarray(stamp_s - track.stamp_s) for track in tracks]
        seen = torch.tensor([[o is not None] for o in observations])
        return ObservationBatch(
            rays=rays[..., 0, :],
            depth_hint=field("depth_hint") / intrinsics.fx,
            landmarks=field("landmarks", 3),
            visibility=field("visibility"),
            presence=field("presence"),
            certainty=field("certainty"),
            rival_rays=rays[..., 1:, :],
            rival_certainty=field("rival_certainty", RIVALS),
            seen=seen,
            step_s=rows(steps),
        )

    def _keep_sides(
        self, frame: ObservationBatch, tracks: list[_Track], stamp_s: float
    ) -> ObservationBatch:
        """The frame with everybody the right way round, as far as their last poses tell."""
        nowhere = np.zeros((NUM_JOINTS, 3), np.float32)
        last = np.stack([nowhere if t.last is None else t.last.joints for t in tracks])
        known = np.array([t.last is not None and stamp_s - t.seen_s <= LOST_S for t in tracks])
        votes = SideVotes.stack([track.side_votes for track in tracks])
        frame, votes, turned = keep_sides(frame, last, known, votes)
        for track, own in zip(tracks, votes.split(), strict=True):
            track.side_votes = own
        self.turned = int(turned.sum())
        return frame

    def _places(
        self, prediction: PosePrediction, view: ViewCamera, tracks: list[_Track], stamp_s: float
    ) -> Tensor:
        """Where each person's pelvis is, [B, 3] m, optical frame, its distance smoothed."""
        pelvis = pelvis_of(prediction.place, view)[:, 0]
        if not self.smooth_distance:
            return pelvis
        log_distances = pelvis.norm(dim=-1).log().tolist()
        # A frame in which the person was not seen says nothing about where they are.
        factors = [
            track.distance(log_distance, stamp_s) - log_distance if track.seen_s == stamp_s else 0.0
            for track, log_distance in zip(tracks, log_distances, strict=True)
        ]
        return pelvis * torch.tensor(factors, device=self.device).exp()[:, None]

    def _people(
        self,
        observations: list[PersonObservation | None],
        prediction: PosePrediction,
        view: ViewCamera,
        pelvis: Tensor,
        intrinsics: Intrinsics,
    ) -> list[RecoveredPerson]:
        """The network's answer in the optical frame, for the people who were seen."""
        rotations = out_of_view(prediction.rotations, view)[:, 0]
        betas = prediction.betas[:, 0]
        stature = self.body.stature(betas)
        # A normal distribution of the logarithm, narrow enough that its width is relative.
        stature_std = stature * (0.5 * prediction.stature_log_variance[:, 0]).exp()
        if self.stature_m is not None:
            known = torch.full_like(stature, self.stature_m)
            betas = self.body.with_stature(betas, known)
            # A person k times as tall who looks the same is k times as far.
            pelvis = pelvis * (known / stature)[:, None]
            stature, stature_std = known, torch.zeros_like(known)
        rest = self.body.joints_rest(betas)
        # The root turns the body about its pelvis joint, so `transl` is what brings that joint
        # there.
        transl = pelvis - rest[:, 0]
        joints = self.body.joints_matrices(rotations, betas, transl)
        confidence = probability_within(prediction.log_variance[:, 0], CONFIDENT_WITHIN_M)
        pose = roma.rotmat_to_rotvec(rotations)
        sizes = torch.stack([stature, stature_std], -1)
        arrays = [t.cpu().numpy() for t in (pose, betas, transl, joints, confidence, sizes)]
        people = []
        for i, observation in enumerate(observations):
            if observation is None:
                continue
            pose_i, betas_i, transl_i, joints_i, confidence_i, size_i = (a[i] for a in arrays)
            people.append(
                RecoveredPerson(
                    track_id=observation.track_id,
                    confidence=float(observation.score),
                    global_orient=pose_i[0],
                    body_pose=pose_i[1:],
                    betas=betas_i,
                    transl=transl_i,
                    joints=joints_i,
                    joints_2d=intrinsics.project(joints_i).astype(np.float32),
                    joint_confidence=confidence_i,
                    observation_age_s=0.0,
                    stature_m=float(size_i[0]),
                    stature_std_m=float(size_i[1]),
                )
            )
        return people


def _places(observation: PersonObservation) -> np.ndarray:
    """Landmarks and their rivals, [33, 1 + RIVALS, 2] px."""
    rivals, certainty = np.shape(observation.rivals), np.shape(observation.rival_certainty)
    if (rivals, certainty) != ((NUM_LANDMARKS, RIVALS, 2), (NUM_LANDMARKS, RIVALS)):
        raise InputError(
            f"rivals and rival_certainty must be [{NUM_LANDMARKS}, {RIVALS}, 2] and "
            f"[{NUM_LANDMARKS}, {RIVALS}], got {list(rivals)} and {list(certainty)}: leave out the least "
            "certain, and give those that are missing a certainty of 0"
        )
    return np.concatenate([observation.keypoints[:, None], observation.rivals], axis=1)


def _direction(up: np.ndarray | None) -> np.ndarray | None:
    """`up` with length 1. Raises InputError."""
    if up is None:
        return None
    try:
        direction = np.asarray(up, np.float64)
    except (TypeError, ValueError):
        direction = np.zeros(0)
    length = float(np.linalg.norm(direction)) if direction.shape == (3,) else 0.0
    if not 1e-6 < length < np.inf:  # nor nan
        raise InputError(
            "up must be three numbers that point against gravity, in the camera's optical frame (x right, y "
            f"down: (0, -1, 0) for a level camera), or None if that is not known; got {up!r}"
        )
    return direction / length


def _upright(
    people: list[RecoveredPerson], up: np.ndarray, intrinsics: Intrinsics
) -> list[RecoveredPerson]:
    """`people` with a part of their lean along the line of sight turned back, see `lean`."""
    joints = torch.from_numpy(np.stack([person.joints for person in people]))
    turns = turn_upright(joints, joints[:, 0], torch.from_numpy(up)).double().numpy()
    turned = []
    for person, turn in zip(people, turns, strict=True):
        root = turn @ rotation_matrix(np.asarray(person.global_orient, np.float64))
        moved = person.placed(np.asarray(person.joints[0], np.float64), root)
        pixels = intrinsics.project(moved.joints).astype(np.float32)
        turned.append(replace(moved, joints_2d=pixels))
    return turned


def _is_finite(person: RecoveredPerson) -> bool:
    """But for `joints_2d`, where a point beside the camera has none."""
    arrays = (
        person.global_orient,
        person.body_pose,
        person.betas,
        person.transl,
        person.joints,
        person.joint_confidence,
    )
    return all(bool(np.isfinite(array).all()) for array in arrays)
