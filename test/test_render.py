"""The renderer against shapes whose picture is known: where, in front of what, which way up."""

from __future__ import annotations

import numpy as np
import pytest

from d3pose_core.camera import Intrinsics
from d3pose_core.render import Layer, Mesh, render

INTRINSICS = Intrinsics(500.0, 480.0, 160.25, 119.0, 320, 240)
RED, GREEN = (0, 0, 255), (0, 255, 0)


def sphere(center: tuple[float, float, float], radius: float, color: tuple[int, int, int]) -> Mesh:
    """A sphere of 60 x 90 quads, its faces counter-clockwise from outside."""
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, 61), np.linspace(0, 2 * np.pi, 91))
    directions = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1
    )
    grid = np.arange(91 * 61).reshape(91, 61)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return Mesh(directions.reshape(-1, 3) * radius + center, faces, color)


def cube(center: tuple[float, float, float], side: float, color: tuple[int, int, int]) -> Mesh:
    """An axis-aligned cube, its faces counter-clockwise from outside."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    faces = []
    for axis in range(3):
        for sign in (-1, 1):
            ring = np.flatnonzero(signs[:, axis] == sign)[[0, 1, 3, 2]]
            normal = np.cross(signs[ring[1]] - signs[ring[0]], signs[ring[2]] - signs[ring[0]])
            ring = ring if normal[axis] * sign > 0 else ring[::-1]
            faces += [ring[[0, 1, 2]], ring[[0, 2, 3]]]
    return Mesh(signs * side / 2 + np.array(center), np.array(faces), color)


def coverage(layer: Layer | None) -> np.ndarray:
    """Coverage of every pixel of the image, 0..1."""
    assert layer is not None
    full = np.zeros((INTRINSICS.height, INTRINSICS.width))
    height, width = layer.coverage.shape
    full[layer.y : layer.y + height, layer.x : layer.x + width] = layer.coverage / 255
    return full


def picture(*meshes: Mesh) -> np.ndarray:
    image = np.zeros((INTRINSICS.height, INTRINSICS.width, 3), np.uint8)
    layer = render(meshes, INTRINSICS)
    return image if layer is None else layer.over(image)


@pytest.mark.parametrize("center", [(0.0, 0.0, 3.0), (0.4, -0.25, 3.0), (-0.3, 0.2, 1.5)])
def test_sphere_covers_its_silhouette(center: tuple[float, float, float]) -> None:
    """A pixel is covered where its ray passes the centre at less than the radius, to 1 px."""
    radius = 0.3
    x, y = np.meshgrid(np.arange(INTRINSICS.width), np.arange(INTRINSICS.height))
    rays = np.concatenate(
        [INTRINSICS.rays(np.stack([x, y], -1).astype(float)), np.ones((*x.shape, 1))], axis=-1
    )
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    distance = np.linalg.norm(np.cross(rays, center), axis=-1)
    one_pixel = np.linalg.norm(center) / 480
    covered = coverage(render([sphere(center, radius, RED)], INTRINSICS))

    assert covered[distance < radius - one_pixel].min() == 1.0
    assert covered[distance > radius + one_pixel].max() == 0.0
    assert covered.sum() == pytest.approx((distance < radius).sum(), rel=0.02), "no fatter either"


def test_cube_covers_its_front_face() -> None:
    """Seen head-on, the front face (z = 1.75 m) hides the rest; its edges are straight lines."""
    covered = coverage(render([cube((0.0, 0.0, 2.0), 0.5, RED)], INTRINSICS))
    left, top = INTRINSICS.project(np.array([-0.25, -0.25, 1.75]))
    right, bottom = INTRINSICS.project(np.array([0.25, 0.25, 1.75]))
    x, y = np.meshgrid(np.arange(INTRINSICS.width), np.arange(INTRINSICS.height))
    inside = np.minimum.reduce([x - left, right - x, y - top, bottom - y])

    assert covered[inside > 1].min() == 1.0
    assert covered[inside < -1].max() == 0.0
    assert covered.sum() == pytest.approx((right - left) * (bottom - top), rel=0.02)


@pytest.mark.parametrize("order", [1, -1])
def test_nearer_hides_farther(order: int) -> None:
    near, far = sphere((0.1, 0, 2.0), 0.2, RED), sphere((0.25, 0, 3.0), 0.4, GREEN)
    image = picture(*[near, far][::order])
    x, y = INTRINSICS.project(np.array([0.15, 0.0, 2.0])).round().astype(int)
    assert image[y, x, 2] > 60
    assert image[y, x, 1] == 0
    x, y = INTRINSICS.project(np.array([0.5, 0.0, 3.0])).round().astype(int)
    assert image[y, x, 1] > 60
    assert image[y, x, 2] == 0


def test_upright_and_not_mirrored() -> None:
    """x is right and y is down: a ball up on the right is drawn up on the right, lit from above."""
    image = picture(sphere((0.5, -0.3, 3.0), 0.2, RED))
    rows, columns = np.nonzero(image[..., 2])
    assert columns.mean() > INTRINSICS.cx + 50
    assert rows.mean() < INTRINSICS.cy - 30
    middle = round(columns.mean())
    lit = image[rows.min() + 5, middle, 2], image[rows.max() - 5, middle, 2]
    assert lit[0] > lit[1] + 40


def test_only_the_outside_is_drawn() -> None:
    """Inside a closed surface nothing is seen of it: all its faces look away."""
    assert render([sphere((0, 0, 0), 2.0, RED)], INTRINSICS) is None


def test_partly_outside_the_image() -> None:
    left_edge = (0 - INTRINSICS.cx) / INTRINSICS.fx * 3
    image = picture(sphere((left_edge, 0.0, 3.0), 0.3, RED))
    rows, columns = np.nonzero(image[..., 2])
    assert columns.min() == 0
    assert columns.max() == pytest.approx(0.3 / 3 * 500, abs=1.5)
    assert len(np.unique(rows)) == pytest.approx(2 * 0.3 / 3 * 480, rel=0.03)


@pytest.mark.parametrize(
    "center",
    [(0.0, 0.0, -3.0), (50.0, 0.0, 3.0), (0.0, float("nan"), 3.0), (0.0, 0.0, float("inf"))],
)
def test_nothing_to_see(center: tuple[float, float, float]) -> None:
    assert render([sphere(center, 0.3, RED)], INTRINSICS) is None


def test_no_meshes() -> None:
    assert render([], INTRINSICS) is None


def test_a_spoilt_mesh_harms_no_other() -> None:
    good, bad = sphere((0.3, 0, 3.0), 0.2, RED), sphere((-0.3, 0, 3.0), 0.2, GREEN)
    bad.vertices[:2000] = np.nan
    bad.vertices[2000:3000, 2] *= -1
    image = picture(good, bad)
    np.testing.assert_array_equal(image[..., 2], picture(good)[..., 2])
    assert image[..., 1].any(), "what is left of it is drawn"


def test_someone_who_reaches_through_the_camera() -> None:
    """Faces that cross the image plane are left out; the rest stays in the image."""
    long = sphere((0, 0, 0), 1.0, RED)
    long.vertices[:] = long.vertices * (0.3, 0.3, 3.0) + (0.35, 0.0, 1.0)
    image = picture(long)
    assert 0 < np.count_nonzero(image[..., 2]) < image[..., 2].size


def test_opacity_blends() -> None:
    layer = render([cube((0.0, 0.0, 2.0), 0.5, (100, 100, 100))], INTRINSICS)
    assert layer is not None
    image = np.full((240, 320, 3), 200, np.uint8)
    solid = layer.over(image.copy())[119, 160].astype(float)
    half = layer.over(image.copy(), opacity=0.5)[119, 160].astype(float)
    np.testing.assert_allclose(half, (solid + 200) / 2, atol=1.5)
    assert (layer.over(image.copy(), opacity=0.0) == 200).all()
