"""Nothing that is read is run: by the source itself, and by files that would show it."""

from __future__ import annotations

import ast
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from d3pose_core.body import load_body
from d3pose_core.body.arrays import read_compact
from d3pose_core.data.datasets.restricted_pickle import Npz, load_arrays
from d3pose_core.data.error_statistics import ErrorStatistics
from d3pose_core.data.image_clips import ImageClips
from d3pose_core.data.motions import MotionLibrary
from d3pose_core.data.observation_cache import ObservationCache
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.errors import InputError
from d3pose_core.evaluation.body_points import load_regressor
from d3pose_core.evaluation.dataset_protocols import DATASET_PROTOCOLS
from d3pose_core.evaluation.tracks import load_tracks
from d3pose_core.model.baselines.checkpoint import load_peer
from d3pose_core.model.checkpoint import load_model
from d3pose_core.model.image.checkpoint import load_image_model
from d3pose_core.recording import PeopleTable
from d3pose_core.runtime.onnx_step import OnnxStep
from d3pose_core.snapshot import load_snapshot
from d3pose_core.training.config import TrainConfig
from d3pose_ros.message_class import message_class

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("d3pose_core", "d3pose_ros", "launch", "tools", "benchmarks", "fuzz")

# What runs, or may run, what a file or an answer from the network holds; where it is allowed, and why.
ALLOWED = {
    # A licensed body's own file, on the user's word (`d3pose body convert --trust`).
    ("d3pose_core/body/licensed.py", "import pickle"),
    ("d3pose_core/body/licensed.py", "pickle.load"),
    # The unpickler that makes arrays and containers only.
    ("d3pose_core/data/datasets/restricted_pickle.py", "import pickle"),
    ("d3pose_core/data/datasets/pickled_arrays.py", "import pickle"),
    # Made by the script itself, for the fuzzer.
    ("fuzz/targets/pickles.py", "import pickle"),
    # The two places that open files of arrays for everybody.
    ("d3pose_core/array_file.py", "np.load"),
    ("d3pose_core/evaluation/body_points.py", "np.load"),
    # Modules of this package, by names of its own; of message packages; of what is to be there.
    ("d3pose_core/cli/main.py", "import_module"),
    ("d3pose_core/cli/doctor.py", "import_module"),
    ("d3pose_core/model/image/backbone.py", "import_module"),
    ("d3pose_core/snapshot.py", "import_module"),
    ("d3pose_ros/message_class.py", "import_module"),
    ("fuzz/target.py", "import_module"),
    ("fuzz/worker.py", "import_module"),
}
MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
    # All that is fetched is fetched by pip or npm and compared with its checksum (model_files.py).
    *(
        "urllib.request",
        "requests",
        "httpx",
        "aiohttp",
        "ftplib",
        "telnetlib",
        "xmlrpc",
        "torch.hub",
    ),
}
CALLS = {
    *(
        "eval",
        "exec",
        "compile",
        "__import__",
        "os.system",
        "os.popen",
        "pickle.load",
        "pickle.loads",
    ),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load"),
    *("joblib.load", "pandas.read_pickle", "torch.jit.load", "torch.package.PackageImporter"),
}


def name_of(node: ast.expr) -> str:
    """`a.b.c` of an expression; "" of others."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = name_of(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def is_literal(call: ast.Call, name: str, value: object) -> bool:
    """Whether the call says `name=value` in so many words."""
    given = [k.value for k in call.keywords if k.arg == name]
    return len(given) == 1 and isinstance(given[0], ast.Constant) and given[0].value is value


def dangers(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything in a source that may run what it reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"import {a.name}") for a in node.names if a.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            modules = {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
            yield from ((node.lineno, f"import {name}") for name in sorted(modules & MODULES))
        elif isinstance(node, ast.Call):
            name = name_of(node.func)
            if name in CALLS:
                yield node.lineno, name
            elif name == "torch.load" and not is_literal(node, "weights_only", True):
                yield node.lineno, "torch.load without weights_only=True"
            elif name in ("np.load", "numpy.load"):
                sound = is_literal(node, "allow_pickle", False)
                yield node.lineno, "np.load" if sound else "np.load without allow_pickle=False"
            elif name.split(".")[-1] == "import_module":
                yield node.lineno, "import_module"
            if any(
                k.arg == "shell" and not is_literal(node, "shell", False) for k in node.keywords
            ):
                yield node.lineno, "a shell"


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield ROOT / "setup.py"


def test_the_source_runs_nothing_that_it_reads() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), name): line
        for path in sources()
        for line, name in dangers(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 5
    wrong = [
        f"{path}:{line}: {name}"
        for (path, name), line in found.items()
        if (path, name) not in ALLOWED
    ]
    assert not wrong, "\n".join(wrong)
    stale = ALLOWED - found.keys()
    assert not stale, f"no longer there: {stale}"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "import pickle"),
        ("from torch import hub", "import torch.hub"),
        ("x = torch.load(f)", "torch.load without weights_only=True"),
        ("x = torch.load(f, weights_only=safe)", "torch.load without weights_only=True"),
        ("np.load(f, allow_pickle=True)", "np.load without allow_pickle=False"),
        ("np.load(f)", "np.load without allow_pickle=False"),
        ("yaml.load(f, Loader=yaml.Loader)", "yaml.load"),
        ("subprocess.run(x, shell=True)", "a shell"),
        ("importlib.import_module(name)", "import_module"),
        ("eval(text)", "eval"),
        ("import urllib.request", "import urllib.request"),
    ],
)
def test_the_scan_finds(source: str, name: str) -> None:
    assert [found for _, found in dangers(source)] == [name]


@pytest.mark.parametrize(
    "source",
    ["torch.load(f, weights_only=True)", "yaml.safe_load(f)", "model.eval()", "re.compile(x)"],
)
def test_the_scan_lets_pass(source: str) -> None:
    assert not list(dangers(source))


class Bomb:
    """Its unpickling leaves a trace."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        return exec, ("import os; os.environ['D3POSE_BOMB'] = 'went off'",)


@pytest.fixture(autouse=True)
def bomb_is_quiet() -> Iterator[None]:
    assert "D3POSE_BOMB" not in os.environ
    yield
    assert os.environ.pop("D3POSE_BOMB", None) is None, "what a file held was run"


def test_the_bomb_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb()))
    assert os.environ.pop("D3POSE_BOMB") == "went off"


def _cached(path: Path) -> object:
    cache = ObservationCache(path.parent, "x", "y", "z")
    path.rename(cache.path("s"))
    return cache.load("s")


def _resumed(path: Path) -> object:
    from d3pose_core.training.loop import resume

    return resume(path, None, None, None)


READERS: dict[str, Callable[[Path], object]] = {
    "weights": load_model,
    "weights of a peer": load_peer,
    "weights of the image variant": load_image_model,
    "ONNX": OnnxStep,
    "people": PeopleTable.load,
    "reference": load_tracks,
    "observations": _cached,
    "motions": lambda path: MotionLibrary([path], "train"),
    "rendered people": RenderedSet.load,
    "image clips": ImageClips.load,
    "errors of landmarks": ErrorStatistics.load,
    "a free body": read_compact,
    "a body": load_body,
    "a regressor": lambda path: load_regressor(path, DATASET_PROTOCOLS["3dpw-vibe"]),
    "a dataset's pickle": load_arrays,
    "a dataset's archive": lambda path: list(Npz(path).values()),
    "a snapshot": load_snapshot,
    "a training configuration": TrainConfig.load,
}


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("kind", ["pickle", "npz", "npy", "torch"])
def test_no_reader_unpickles(what: str, kind: str, tmp_path: Path) -> None:
    """A pickle, and pickles inside of what numpy and torch write."""
    path = tmp_path / "file.npz"
    bombs = np.array([Bomb()], dtype=object)
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "npz":
        names = [
            "time",
            "joints",
            "track_id",
            "frame",
            "v_template",
            "weights",
            "count",
            "a0",
            "structure",
        ]
        np.savez(path, **dict.fromkeys(names, bombs))
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, bombs, allow_pickle=True)
    else:
        import torch

        torch.save({"model": Bomb()}, path)
    with pytest.raises(InputError):
        READERS[what](path)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_the_state_of_a_training_is_no_program(kind: str, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "resume.pt"
    if kind == "torch":
        torch.save({"model": Bomb()}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(Exception, match=r"(?i)weights_only|unpickl|unsupported"):
        _resumed(path)


@pytest.mark.parametrize("module", ["antigravity", "this", "turtledemo"])
def test_a_message_type_imports_no_other_module(module: str) -> None:
    """Python's own modules that do something when they are imported."""
    sys.modules.pop(module, None)
    with pytest.raises(InputError, match="is not installed"):
        message_class(f"{module}/msg/Image")
    assert module not in sys.modules
    with pytest.raises(InputError, match="is no message type"):
        message_class(f"../{module}/msg/Image")


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(
        "output: !!python/object/apply:os.putenv [D3POSE_BOMB, x]\nmotions: []\nsteps: 1\n"
    )
    with pytest.raises(InputError, match="could not determine a constructor"):
        TrainConfig.load(path)
