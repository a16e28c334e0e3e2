"""Two people who move at random, as a `people.npz` would hold them."""

import numpy as np
import pytest
import torch

from d3pose_core.body import BodyModel, load_body
from d3pose_core.camera import Intrinsics
from d3pose_core.recording import PeopleTable

FRAMES = 12
RATE_HZ = 30.0


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body("free-low")


@pytest.fixture(scope="session")
def people(body: BodyModel) -> PeopleTable:
    """Tracks 3 and 8 over 12 frames, one shape each; large rotations, some beyond half a turn."""
    rng = torch.Generator().manual_seed(0)
    rows = 2 * FRAMES
    pose = 0.7 * torch.randn(rows, 24, 3, generator=rng)
    pose[:, 0] *= 3
    betas = torch.randn(2, 10, generator=rng).repeat(FRAMES, 1)
    transl = torch.randn(rows, 3, generator=rng) + torch.tensor([0.0, 0.0, 4.0])
    frame = np.arange(rows) // 2
    return PeopleTable(
        frame=frame,
        time=frame / RATE_HZ,
        track_id=np.array([3, 8] * FRAMES),
        global_orient=pose[:, 0].numpy(),
        body_pose=pose[:, 1:].numpy(),
        betas=betas.numpy(),
        transl=transl.numpy(),
        joints=body.joints(pose[:, 0], pose[:, 1:], betas, transl).numpy(),
        joints_2d=np.zeros((rows, 24, 2), np.float32),
        joint_confidence=np.ones((rows, 24), np.float32),
        confidence=np.ones(rows, np.float32),
        intrinsics=Intrinsics(600, 600, 320, 240, 640, 480),
    )


@pytest.fixture(scope="session")
def vertices(body: BodyModel, people: PeopleTable) -> np.ndarray:
    """[12, V, 3] m: the skin of track 3, camera optical frame."""
    mine = people.track_id == 3
    columns = (people.global_orient, people.body_pose, people.betas, people.transl)
    return body(*(torch.from_numpy(column[mine]) for column in columns)).vertices.numpy()


@pytest.fixture
def recording(people: PeopleTable, tmp_path):
    """The path of the people.npz."""
    people.save(tmp_path / "people.npz")
    return tmp_path / "people.npz"
