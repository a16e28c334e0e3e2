"""AMASS-style files, read with plain numpy and posed by the slow SMPL reference."""

import numpy as np
import pytest

from d3pose_core.body.load import free_body_arrays
from d3pose_core.cli.main import main
from d3pose_core.errors import InputError
from d3pose_core.export.amass import write_amass
from d3pose_core.export.track import AXES, tracks_of
from test.helpers.smpl_reference import reference_forward


@pytest.mark.parametrize(("layout", "width", "num_betas"), [("smplh", 156, 16), ("smpl", 72, 10)])
def test_it_poses_the_same_person(recording, people, vertices, layout, width, num_betas):
    command = ["export", "amass", str(recording), "--body", "free-low", "--layout", layout]
    assert main(command) == 0
    with np.load(recording.with_name("track_3_amass.npz"), allow_pickle=False) as file:
        motion = {name: file[name] for name in file.files}
    assert set(motion) == {
        *("poses", "trans", "betas", "dmpls", "gender", "mocap_framerate", "body_model"),
    }
    assert motion["poses"].shape == (12, width)
    assert motion["betas"].shape == (num_betas,)
    assert (str(motion["gender"]), str(motion["body_model"])) == ("neutral", "free-low")
    assert float(motion["mocap_framerate"]) == pytest.approx(30)

    body = free_body_arrays("free-low")
    pose = motion["poses"].reshape(12, -1, 3)[:, :24].copy()
    mine = people.track_id == 3
    if layout == "smplh":  # fingers at rest
        assert not pose[:, 22:].any()
        assert not motion["poses"][:, 66:].any()
        pose[:, 22:] = people.body_pose[mine][:, 21:]
    for frame in range(12):
        got, joints = reference_forward(
            body, pose[frame], motion["betas"][:10], motion["trans"][frame]
        )
        np.testing.assert_allclose(joints, people.joints[mine][frame] @ AXES["z-up"].T, atol=1e-5)
        np.testing.assert_allclose(got, vertices[frame] @ AXES["z-up"].T, atol=1e-5)


def test_at_another_rate(recording):
    assert main(["export", "amass", str(recording), "--body", "free-low", "--rate", "120"]) == 0
    with np.load(recording.with_name("track_8_amass.npz")) as file:
        assert float(file["mocap_framerate"]) == 120
        assert len(file["poses"]) == len(file["trans"]) == len(file["dmpls"]) == 45


def test_unknown_layouts_are_refused(people, body, tmp_path):
    with pytest.raises(InputError, match="layout must be one of smplh, smpl, got 'mano'"):
        write_amass(tracks_of(people)[0], body, 30.0, tmp_path / "a.npz", "mano")
