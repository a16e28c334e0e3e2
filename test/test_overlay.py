"""Overlay and side view: the mesh is on the person, sides and depths are the right way round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from d3pose_core.body import BodyModel, load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.distortion import Distortion
from d3pose_core.overlay import MAX_HEIGHT, draw_people, meshes_of, track_color, write_overlay
from d3pose_core.recording import PeopleRecorder, PeopleTable
from d3pose_core.side_view import SideView
from d3pose_core.video import ClipReader, ClipWriter

INTRINSICS = Intrinsics.from_hfov(60, 320, 240)
UPRIGHT = np.array([np.pi, 0.0, 0.0], np.float32)  # facing the camera
FRAMES = 6


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("free-low")


def standing(
    body: BodyModel, transl: tuple[float, float, float], track_id: int = 0
) -> SimpleNamespace:
    """Someone in the T-pose, upright, facing the camera."""
    fields = {
        "global_orient": UPRIGHT,
        "body_pose": np.zeros((23, 3), np.float32),
        "betas": np.zeros(10, np.float32),
        "transl": np.array(transl, np.float32),
    }
    tensors = (torch.from_numpy(value)[None] for value in fields.values())
    joints = body.joints(*tensors)[0].numpy()
    return SimpleNamespace(
        track_id=track_id,
        **fields,
        joints=joints,
        joints_2d=INTRINSICS.project(joints),
        joint_confidence=np.ones(24),
        confidence=1.0,
    )


def table_of(*people_of_frames: list[SimpleNamespace]) -> PeopleTable:
    recorder = PeopleRecorder(INTRINSICS)
    for index, people in enumerate(people_of_frames):
        recorder.append(index, index / 30, people)
    return recorder.table()


def colored(image: np.ndarray, track_id: int) -> np.ndarray:
    """Where a picture shows this track's colour, whatever its brightness: [H, W] bool."""
    color = np.array(track_color(track_id), float)
    pixels = image.astype(float)
    length = np.linalg.norm(pixels, axis=-1)
    cosine = pixels @ color / np.maximum(length * np.linalg.norm(color), 1e-9)
    return (length > 60) & (cosine > 0.995)


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (320, 240))
    for _ in range(FRAMES):
        writer.write(np.full((240, 320, 3), 128, np.uint8))
    writer.release()
    return path


def test_mesh_is_where_the_joints_are(body: BodyModel) -> None:
    table = table_of([standing(body, (0.4, 0.2, 3.0))])
    (mesh,) = meshes_of(table, np.array([0]), body)
    shown = colored(
        draw_people(np.zeros((240, 320, 3), np.uint8), [mesh], [0], INTRINSICS, opacity=1.0), 0
    )
    x, y = table.joints_2d[0].round().astype(int).T
    assert shown[y, x].all(), "every joint lies inside the body"
    feet_y, head_y = table.joints_2d[0, [10, 11], 1].mean(), table.joints_2d[0, 15, 1]
    assert head_y < feet_y, "the head is above the feet"
    assert shown.sum() > 1500


@pytest.mark.parametrize(
    "lens",
    [Distortion("plumb_bob", (-0.3, 0.05, 0, 0, 0)), Distortion("equidistant", (0, 0, 0, 0))],
)
def test_a_mesh_lies_on_the_image_of_a_lens_that_bends(body: BodyModel, lens: Distortion) -> None:
    """Far from the middle, where a pinhole would have them elsewhere."""
    table = table_of([standing(body, (0.9, 0.2, 3.0))])
    (mesh,) = meshes_of(table, np.array([0]), body)
    camera = replace(INTRINSICS, distortion=lens)
    image = np.zeros((240, 320, 3), np.uint8)
    bent, straight = (
        np.flatnonzero(colored(draw_people(image, [mesh], [0], c, opacity=1.0), 0).any(0))
        for c in (camera, INTRINSICS)
    )
    pixels = camera.project(mesh.vertices)[:, 0]
    assert abs(bent.max() - pixels.max()) < 3
    assert straight.max() - bent.max() > 8


def test_the_left_hand_of_someone_facing_us_is_on_our_right(body: BodyModel) -> None:
    """Raise the left hand: the picture changes on the image's right side only."""
    person = standing(body, (0.0, 0.2, 3.0))
    raised = standing(body, (0.0, 0.2, 3.0))
    raised.body_pose = raised.body_pose.copy()
    raised.body_pose[15, 2] = 1.2  # the left shoulder (joint 16), about the body's forward axis
    table = table_of([person], [raised])
    black = np.zeros((240, 320, 3), np.uint8)
    before, after = (
        colored(draw_people(black, meshes_of(table, np.array([row]), body), [0], INTRINSICS), 0)
        for row in (0, 1)
    )
    rows, columns = np.nonzero(after & ~before)
    assert len(rows) > 50
    assert columns.mean() > INTRINSICS.cx + 15
    gone_rows, _ = np.nonzero(before & ~after)
    assert rows.mean() < gone_rows.mean() - 10, "raised, not lowered"


def test_side_view_shows_depth_to_the_right_and_keeps_up_up(body: BodyModel) -> None:
    near, far = standing(body, (0.3, 0.2, 3.0), 0), standing(body, (-0.3, 0.2, 5.0), 1)
    table = table_of([near, far])
    side = SideView(table, 400, 300)
    panel = side.draw(meshes_of(table, np.array([0, 1]), body))

    assert panel.shape == (300, 400, 3)
    columns = [np.nonzero(colored(panel, track))[1].mean() for track in (0, 1)]
    assert columns[1] > columns[0] + 80
    pixels = side.intrinsics.project(side.to_side(table.joints))
    assert (pixels[:, 15, 1] < pixels[:, [10, 11], 1].min(axis=1)).all(), "head above feet"
    assert ((pixels > 0) & (pixels < (400, 300))).all(), "everyone is in the panel"
    for row, track in enumerate((0, 1)):
        x, y = pixels[row, 3].round().astype(int)
        assert colored(panel, track)[y, x]


def test_side_view_shows_lean(body: BodyModel) -> None:
    """Who leans towards the camera leans to the left, where the camera is."""
    leaning = standing(body, (0.0, 0.2, 4.0))
    tilt = cv2.Rodrigues(np.array([0.4, 0.0, 0.0]))[0] @ cv2.Rodrigues(UPRIGHT.astype(float))[0]
    leaning.global_orient = cv2.Rodrigues(tilt)[0].reshape(3)
    pose = (leaning.global_orient, leaning.body_pose, leaning.betas, leaning.transl)
    joints = body.joints(*(torch.tensor(value, dtype=torch.float32)[None] for value in pose))
    leaning.joints = joints[0].numpy()
    assert leaning.joints[15, 2] < leaning.joints[10, 2], "the head is nearer to the camera"
    side = SideView(table_of([leaning]), 400, 300)
    pixels = side.intrinsics.project(side.to_side(leaning.joints))
    assert pixels[15, 0] < pixels[[10, 11], 0].mean() - 15


@pytest.mark.parametrize("spoilt", [float("nan"), -4.0])
def test_spoilt_rows_are_left_out(body: BodyModel, spoilt: float) -> None:
    """A pose that is not a number, or behind the camera, hides neither the others nor the panel."""
    good, bad = standing(body, (0.0, 0.2, 4.0), 0), standing(body, (0.0, 0.2, 4.0), 1)
    bad.transl[2] = spoilt
    bad.joints[:, 2] += spoilt - 4.0
    table = table_of([good, bad])
    meshes = meshes_of(table, np.array([0, 1]), body)
    picture = draw_people(np.zeros((240, 320, 3), np.uint8), meshes, [0, 1], INTRINSICS)
    panel = SideView(table, 400, 300).draw(meshes)
    for image in (picture, panel):
        assert colored(image, 0).sum() > 1000
        assert colored(image, 1).sum() == 0


def test_overlay_clip(body: BodyModel, clip_path: Path, tmp_path: Path) -> None:
    """Picture and panel side by side, one for each frame, which opens again; nobody in frame 0."""
    table = table_of([], *[[standing(body, (0.0, 0.2, 3.0 + 0.1 * i))] for i in range(FRAMES - 1)])
    ticks: list[int] = []
    path = tmp_path / "new" / "overlay.mp4"
    written = write_overlay(
        path, ClipReader(clip_path), table, body, progress=lambda: ticks.append(1)
    )

    assert written == FRAMES == len(ticks)
    overlay = ClipReader(path)
    assert (overlay.width, overlay.height, overlay.fps) == (320 + 216, 240, 20)
    frames = [frame.image for frame in overlay]
    assert len(frames) == FRAMES
    x, y = table.joints_2d[-1, 3].round().astype(int)
    assert np.abs(frames[0][y, x].astype(int) - 128).max() < 12, "the clip's own grey"
    assert not np.allclose(frames[-1][y, x], 128, atol=30)
    assert [entry.name for entry in path.parent.iterdir()] == ["overlay.mp4"]


def test_frames_that_were_not_processed_repeat_the_picture_before(
    body: BodyModel, clip_path: Path, tmp_path: Path
) -> None:
    table = table_of([standing(body, (0.0, 0.2, 3.0))], [], [standing(body, (0.9, 0.2, 3.0))])
    path = tmp_path / "overlay.mp4"
    write_overlay(path, ClipReader(clip_path, max_frames=3), table, body, processed={0, 2})
    first, second, third = (frame.image.astype(int) for frame in ClipReader(path))
    assert np.abs(first - second).mean() < 1
    assert np.abs(second - third).mean() > 3


def test_overlay_of_a_clip_with_nobody(body: BodyModel, clip_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    assert write_overlay(path, ClipReader(clip_path), table_of(), body) == FRAMES
    assert len(list(ClipReader(path))) == FRAMES


def test_large_and_odd_pictures_are_brought_to_a_size_that_codecs_take(
    body: BodyModel, tmp_path: Path
) -> None:
    source = tmp_path / "large.avi"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"MJPG"), 20, (1501, 901))
    writer.write(np.zeros((901, 1501, 3), np.uint8))
    writer.release()
    table = PeopleRecorder(Intrinsics.from_hfov(60, 1501, 901)).table()
    write_overlay(tmp_path / "overlay.mp4", ClipReader(source), table, body)
    overlay = ClipReader(tmp_path / "overlay.mp4")
    assert overlay.height == MAX_HEIGHT
    assert overlay.width == 1200 + 648


def test_writer_refuses_odd_sizes_and_other_frames(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be even, got 321 x 240"):
        ClipWriter(tmp_path / "clip.mp4", 20, (321, 240))
    with pytest.raises(ValueError, match="opens no encoder"):
        ClipWriter(tmp_path / "missing" / "clip.mp4", 20, (320, 240))
    with (
        ClipWriter(tmp_path / "clip.mp4", 20, (320, 240)) as writer,
        pytest.raises(ValueError, match=r"takes frames of 320 x 240, got .* \[100, 100, 3\]"),
    ):
        writer.write(np.zeros((100, 100, 3), np.uint8))
