"""GLB files, read back by pygltflib (the container) and trimesh (the scene); skinned here in numpy."""

import numpy as np
import pygltflib
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from d3pose_core.cli.main import main
from d3pose_core.export.track import AXES
from d3pose_core.skeleton import JOINT_NAMES

DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Asset:
    """The arrays of a .glb, by the glTF 2.0 specification and nothing else."""

    def __init__(self, path):
        self.gltf = pygltflib.GLTF2().load(str(path))
        self.blob = self.gltf.binary_blob()

    def _rows(self, view: int, dtype, count: int, width: int) -> np.ndarray:
        start = self.gltf.bufferViews[view].byteOffset
        assert start % np.dtype(dtype).itemsize == 0
        return np.frombuffer(self.blob, dtype, count * width, start).reshape(count, width)

    def array(self, index: int) -> np.ndarray:
        accessor = self.gltf.accessors[index]
        dtype, width = DTYPES[accessor.componentType], WIDTHS[accessor.type]
        if accessor.bufferView is not None:
            return self._rows(accessor.bufferView, dtype, accessor.count, width)
        values = np.zeros((accessor.count, width), dtype)
        sparse = accessor.sparse
        indices = DTYPES[sparse.indices.componentType]
        rows = self._rows(sparse.indices.bufferView, indices, sparse.count, 1)[:, 0]
        assert (np.diff(rows.astype(int)) > 0).all()
        values[rows] = self._rows(sparse.values.bufferView, dtype, sparse.count, width)
        return values

    def posed(self) -> tuple[np.ndarray, np.ndarray]:
        """Times [T] and skinned vertices [T, V, 3] at the keyframes."""
        gltf = self.gltf
        skin, mesh = gltf.skins[0], gltf.meshes[0]
        attributes = mesh.primitives[0].attributes
        animation = gltf.animations[0]
        frames = None
        animated = {}
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            frames = self.array(sampler.input)[:, 0]
            animated[channel.target.node, channel.target.path] = self.array(sampler.output)
        parents = {
            child: node for node, entry in enumerate(gltf.nodes) for child in entry.children or []
        }
        inverse_bind = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
        sets = [k for k in range(4) if getattr(attributes, f"JOINTS_{k}", None) is not None]
        joints = np.hstack([self.array(getattr(attributes, f"JOINTS_{k}")) for k in sets])
        weights = np.hstack([self.array(getattr(attributes, f"WEIGHTS_{k}")) for k in sets])
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)

        rest = self.array(attributes.POSITION).astype(float)
        targets = [self.array(t["POSITION"]) for t in mesh.primitives[0].targets or []]
        mesh_node = next(n for n, node in enumerate(gltf.nodes) if node.skin is not None)
        morphs = animated.get((mesh_node, "weights"))
        if morphs is not None:
            morphs = morphs.reshape(len(frames), len(targets))

        out = []
        for frame in range(len(frames)):
            world = {}

            def transform(node, frame=frame, world=world):
                if node not in world:
                    local = np.eye(4)
                    local[:3, 3] = gltf.nodes[node].translation or (0, 0, 0)
                    if (node, "translation") in animated:
                        local[:3, 3] = animated[node, "translation"][frame]
                    rotation = animated[node, "rotation"][frame]
                    local[:3, :3] = Rotation.from_quat(rotation).as_matrix()
                    parent = parents.get(node)
                    world[node] = local if parent is None else transform(parent) @ local
                return world[node]

            matrices = np.stack([transform(j) for j in skin.joints]) @ inverse_bind
            points = rest.copy()
            if morphs is not None:
                points += np.tensordot(morphs[frame], np.stack(targets), 1)
            blended = np.einsum("vk,vkij->vij", weights, matrices[joints])
            out.append(np.einsum("vij,vj->vi", blended[:, :3, :3], points) + blended[:, :3, 3])
        return frames, np.stack(out)


@pytest.mark.parametrize("axes", ["y-up", "optical"])
def test_the_moving_mesh_is_the_body(recording, people, body, vertices, axes):
    command = ["export", "glb", str(recording), "--body", "free-low", "--track", "3"]
    assert main([*command, "--axes", axes]) == 0
    assert not recording.with_name("track_8.glb").exists()
    times, got = Asset(recording.with_name("track_3.glb")).posed()
    np.testing.assert_allclose(times, people.time[people.track_id == 3], atol=1e-6)
    assert np.abs(got - vertices @ AXES[axes].T).max() < 1e-5


def test_without_correctives_the_skin_is_plain_and_close(recording, vertices):
    command = ["export", "glb", str(recording), "--body", "free-low", "--axes", "optical"]
    assert main([*command, "--no-correctives"]) == 0
    asset = Asset(recording.with_name("track_3.glb"))
    assert not asset.gltf.meshes[0].primitives[0].targets
    _, got = asset.posed()
    error = np.linalg.norm(got - vertices, axis=-1)
    assert 1e-4 < error.max() < 0.08  # poses far beyond natural
    assert error.mean() < 0.01


def test_neighbouring_quaternions_take_the_short_way(recording):
    """LINEAR interpolation of a rotation must not pass through the other half of the sphere."""
    assert main(["export", "glb", str(recording), "--body", "free-low", "--track", "3"]) == 0
    asset = Asset(recording.with_name("track_3.glb"))
    for sampler, channel in zip(
        asset.gltf.animations[0].samplers, asset.gltf.animations[0].channels, strict=True
    ):
        if channel.target.path == "rotation":
            q = asset.array(sampler.output)
            np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1, atol=1e-5)
            assert ((q[1:] * q[:-1]).sum(1) >= -1e-6).all()


def test_another_reader_opens_it_as_a_scene(recording, body):
    """trimesh: the graph of joints, the faces, and a mesh that is closed and the right way out."""
    assert main(["export", "glb", str(recording), "--body", "free-low", "--track", "8"]) == 0
    scene = trimesh.load(recording.with_name("track_8.glb"), process=False)
    assert set(JOINT_NAMES) <= set(scene.graph.nodes)
    (mesh,) = scene.geometry.values()
    np.testing.assert_array_equal(mesh.faces, body.faces)
    assert mesh.vertices.shape == (body.num_vertices, 3)
    assert mesh.volume > 0.03
    assert (np.einsum("vi,vi->v", mesh.vertex_normals, _normals_of(mesh)) > 0.99).all()


def _normals_of(mesh: trimesh.Trimesh) -> np.ndarray:
    """Area-weighted, computed anew."""
    corner = np.asarray(mesh.vertices)[mesh.faces]
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = np.zeros((len(mesh.vertices), 3))
    for side in range(3):
        np.add.at(normals, mesh.faces[:, side], face)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def test_accessors_are_described_as_the_specification_asks(recording):
    assert main(["export", "glb", str(recording), "--body", "free-low", "--track", "3"]) == 0
    asset = Asset(recording.with_name("track_3.glb"))
    gltf = asset.gltf
    position = gltf.accessors[gltf.meshes[0].primitives[0].attributes.POSITION]
    times = gltf.accessors[gltf.animations[0].samplers[0].input]
    for accessor, values in (
        (position, asset.array(gltf.meshes[0].primitives[0].attributes.POSITION)),
        (times, asset.array(gltf.animations[0].samplers[0].input)),
    ):
        np.testing.assert_allclose(accessor.min, values.min(0), rtol=1e-6)
        np.testing.assert_allclose(accessor.max, values.max(0), rtol=1e-6)
    assert all(view.byteOffset % 4 == 0 for view in gltf.bufferViews)
    assert sum(len(asset.blob) < v.byteOffset + v.byteLength for v in gltf.bufferViews) == 0
    assert asset.gltf.asset.version == "2.0"
