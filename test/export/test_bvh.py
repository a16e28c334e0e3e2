"""BVH files, read back by pybvh, which has its own forward kinematics."""

import numpy as np
import pybvh
import pytest
import roma
import torch
from scipy.spatial.transform import Rotation

from d3pose_core.cli.main import main
from d3pose_core.data.datasets.bvh import read_bvh
from d3pose_core.data.datasets.retarget import retarget
from d3pose_core.errors import InputError
from d3pose_core.export.bvh import write_bvh
from d3pose_core.export.track import AXES, tracks_of
from d3pose_core.skeleton import JOINT_NAMES


@pytest.mark.parametrize(
    ("options", "unit_m", "axes"),
    [([], 0.01, "y-up"), (["--unit", "m", "--axes", "optical"], 1.0, "optical")],
)
def test_joints_stand_where_they_were_recovered(recording, people, options, unit_m, axes):
    assert main(["export", "bvh", str(recording), "--body", "free-low", *options]) == 0
    motion = pybvh.read_bvh_file(recording.with_name("track_3.bvh"))
    assert motion.frame_time == pytest.approx(1 / 30, abs=1e-8)
    assert sorted(motion.joint_names) == sorted(JOINT_NAMES)

    order = [motion.joint_names.index(name) for name in JOINT_NAMES]
    got = motion.joint_positions()[:, order] * unit_m
    expected = people.joints[people.track_id == 3] @ AXES[axes].T
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_the_written_angles_compose_to_the_rotations(people, body, tmp_path):
    """By hand, without any BVH reader: the documented order is the order that holds."""
    track = tracks_of(people, 3)[0]
    write_bvh(track, track.rest_joints(body), 30.0, tmp_path / "a.bvh")
    text = (tmp_path / "a.bvh").read_text()
    assert text.count("CHANNELS 3 Zrotation Xrotation Yrotation") == 23
    assert "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation" in text
    names = [line.split()[1] for line in text.splitlines() if line.split()[0] in ("ROOT", "JOINT")]
    rows = np.array([line.split() for line in text.split("Frame Time:")[1].splitlines()[1:]], float)
    angles = rows[:, 3:].reshape(len(rows), 24, 3)
    for index, name in enumerate(names):
        got = Rotation.from_euler("ZXY", angles[:, index], degrees=True).as_matrix()
        expected = track.rotations[:, JOINT_NAMES.index(name)]
        np.testing.assert_allclose(got, expected, atol=1e-7)


def test_what_is_written_is_read_as_it_was(people, body, tmp_path):
    """Through our reader, which is made for other skeletons."""
    track = tracks_of(people, 3)[0]
    write_bvh(track, body.joint_template.numpy(), 30.0, tmp_path / "x.bvh")
    pose, _ = retarget(read_bvh(tmp_path / "x.bvh"), "x.bvh")
    ours = torch.from_numpy(track.rotations)
    theirs = roma.rotvec_to_rotmat(torch.from_numpy(pose).to(ours))
    limbs = [k for k, name in enumerate(JOINT_NAMES) if name.endswith(("knee", "elbow", "ankle"))]
    off = roma.rotmat_geodesic_distance(ours[:, limbs], theirs[:, limbs])
    assert off.max() < np.radians(0.1)


def test_angles_do_not_jump_by_full_turns(body, tmp_path):
    """A person who turns on the spot, twice round."""
    from test.export.test_track import walking_turner

    times = np.arange(0, 18, 1 / 30)
    track = walking_turner(times)
    turning = Rotation.from_rotvec(np.outer(0.7 * times, [0, 1, 0])).as_matrix()
    track.rotations[:, 0] = turning
    write_bvh(track, track.rest_joints(body), 30.0, tmp_path / "a.bvh")
    rows = np.loadtxt(tmp_path / "a.bvh", skiprows=_first_frame_line(tmp_path / "a.bvh"))
    assert np.abs(np.diff(rows[:, 5])).max() < 2
    assert rows[-1, 5] - rows[0, 5] == pytest.approx(np.degrees(0.7 * times[-1]), abs=0.01)


def test_wrong_units_and_unwritable_folders_are_said(people, body, tmp_path):
    track = tracks_of(people, 3)[0]
    with pytest.raises(InputError, match="unit must be one of cm, m, got 'inch'"):
        write_bvh(track, track.rest_joints(body), 30.0, tmp_path / "a.bvh", "inch")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another output folder"):
        write_bvh(track, track.rest_joints(body), 30.0, tmp_path / "file" / "a.bvh")


def _first_frame_line(path) -> int:
    lines = path.read_text().splitlines()
    return next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
