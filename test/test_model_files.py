"""Fetching, checking and caching of the model files, with a wheel made here instead of the network."""

import argparse
import errno
import hashlib
import io
import sys
import tarfile
import threading
import tracemalloc
import zipfile
from dataclasses import replace

import pytest

from d3pose_core import model_files
from d3pose_core.cli import models as models_command
from d3pose_core.errors import InputError, ModelFileMissing
from d3pose_core.model_files import FetchError, ModelFile

CONTENTS = {"a.tflite": b"first network" * 1000, "b.tflite": b"second network" * 2000}


def entry(name: str) -> ModelFile:
    data = CONTENTS[name]
    return ModelFile(
        name=name,
        kind="model",
        purpose="a test",
        package="some-package",
        version="1.2.3",
        member=f"some_package/{name}",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        licence="MIT",
    )


class Index:
    """Stands for pip: writes a wheel with the given members and counts how often it is asked."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.asked: list[str] = []

    def __call__(self, package, version, folder):
        self.asked.append(f"{package}=={version}")
        wheel = folder / f"{package}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in self.contents.items():
                archive.writestr(f"some_package/{name}", data)
            archive.writestr("some_package/other.py", "raise SystemExit")
        return wheel


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache and a registry of two files of one package."""
    monkeypatch.setenv("D3POSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(model_files, "MODEL_FILES", tuple(entry(name) for name in CONTENTS))
    return tmp_path / "cache"


def test_fetch_takes_the_members_of_one_download_and_nothing_else(cache):
    index = Index(CONTENTS)
    paths = model_files.fetch(download=index)
    assert index.asked == ["some-package==1.2.3"]
    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())
    assert sorted(path.name for path in cache.iterdir()) == sorted(CONTENTS)


def test_fetch_again_downloads_nothing(cache):
    index = Index(CONTENTS)
    model_files.fetch(download=index)
    before = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    model_files.fetch(download=index)
    assert len(index.asked) == 1
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == before


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"X" + data[1:], lambda data: b""]
)
def test_damaged_file_is_told_and_fetched_again(cache, damage):
    index = Index(CONTENTS)
    model_files.fetch(download=index)
    path = cache / "a.tflite"
    path.write_bytes(damage(path.read_bytes()))
    assert model_files.state(entry("a.tflite")) == "damaged"
    with pytest.raises(InputError, match="d3pose models fetch"):
        model_files.read_model("a.tflite")
    model_files.fetch(download=index)
    assert len(index.asked) == 2
    assert model_files.read_model("a.tflite") == CONTENTS["a.tflite"]


def test_missing_file_names_the_command(cache):
    with pytest.raises(ModelFileMissing, match=r"a\.tflite.*d3pose models fetch"):
        model_files.model_path("a.tflite")


def test_unknown_name_lists_the_known_ones(cache):
    with pytest.raises(InputError, match=r"'c\.tflite'.*a\.tflite, b\.tflite"):
        model_files.model_path("c.tflite")


def test_other_content_in_the_package_is_refused_and_leaves_no_file(cache):
    index = Index({**CONTENTS, "a.tflite": b"something else"})
    with pytest.raises(FetchError, match="SHA-256"):
        model_files.fetch(["a.tflite"], download=index)
    assert list(cache.iterdir()) == []


def test_package_without_the_member_is_refused(cache):
    with pytest.raises(FetchError, match=r"does not hold some_package/a\.tflite"):
        model_files.fetch(download=Index({}))


def test_concurrent_fetches_all_end_with_whole_files(cache):
    index = Index(CONTENTS)
    errors = []

    def work():
        try:
            model_files.fetch(download=index)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {p.name: p.read_bytes() for p in cache.iterdir()} == CONTENTS


def test_an_archive_that_claims_more_is_not_unpacked_into_memory(cache):
    """Zeros shrink to nothing: it is read no further than the file may be long."""

    def bomb(package, version, folder):
        wheel = folder / "bomb.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("some_package/a.tflite", bytes(50 * 2**20))
        tracemalloc.start()
        return wheel

    try:
        with pytest.raises(FetchError, match=f"{len(CONTENTS['a.tflite']) + 1} bytes instead"):
            model_files.fetch(["a.tflite"], download=bomb)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_made(cache, monkeypatch):
    cache.parent.joinpath("file").write_text("in the way")
    monkeypatch.setenv("D3POSE_CACHE", str(cache.parent / "file" / "cache"))
    with pytest.raises(FetchError, match=r"file/cache: Not a directory.*D3POSE_CACHE"):
        model_files.fetch(download=Index(CONTENTS))


@pytest.mark.parametrize("call", ["mkdtemp", "mkstemp"])
def test_a_cache_that_cannot_be_written_to(cache, monkeypatch, call):
    """A folder of somebody else, or a full disk; root may write anywhere, so that it is feigned here."""

    def refused(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model_files.tempfile, call, refused)
    with pytest.raises(FetchError, match=r"No space left on device.*D3POSE_CACHE"):
        model_files.fetch(download=Index(CONTENTS))
    assert list(cache.iterdir()) == []


def test_a_file_that_cannot_be_read(cache, monkeypatch):
    model_files.fetch(download=Index(CONTENTS))

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(model_files.Path, "read_bytes", refused)
    with pytest.raises(InputError, match=r"a\.tflite: Permission denied"):
        model_files.read_model("a.tflite")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'ERROR: No matching distribution found' >&2; exit 1", "No matching distribution"),
        ("echo '/x/python: No module named pip' >&2; exit 1", "has no pip"),
        ("exit 0", r"left no \*\.whl"),
    ],
)
def test_failing_pip_is_explained(tmp_path, monkeypatch, script, told):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(FetchError, match=told):
        model_files.pip_download("some-package", "1.2.3", tmp_path)


def test_pip_is_asked_for_the_wheel_only(tmp_path, monkeypatch):
    fake = tmp_path / "python"
    folder = tmp_path / "wheels"
    folder.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ntouch {folder}/x.whl\n')
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    assert model_files.pip_download("some-package", "1.2.3", folder) == folder / "x.whl"
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:3] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "some-package==1.2.3"} <= set(asked)
    assert "install" not in asked


def test_cache_folder_that_is_a_file_is_explained(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("D3POSE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FetchError, match="D3POSE_CACHE"):
        model_files.fetch(download=Index(CONTENTS))


def npm_archive(contents: dict[str, bytes]):
    """Stands for npm: writes a package as npm packs it."""

    def download(package, version, folder):
        path = folder / "some-package-1.2.3.tgz"
        with tarfile.open(path, "w:gz") as archive:
            for name, data in contents.items():
                entry = tarfile.TarInfo(f"some_package/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return path

    return download


@pytest.fixture
def with_optional(cache, monkeypatch):
    """a.tflite comes by pip, b.tflite by npm and is optional."""
    optional = replace(entry("b.tflite"), registry=model_files.NPM, optional=True)
    monkeypatch.setattr(model_files, "MODEL_FILES", (entry("a.tflite"), optional))
    monkeypatch.setattr(model_files, "pip_download", Index(CONTENTS))
    return cache


def test_a_file_of_an_npm_package(with_optional, monkeypatch):
    monkeypatch.setattr(model_files, "npm_download", npm_archive(CONTENTS))
    paths = model_files.fetch()
    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())


@pytest.mark.parametrize(
    ("contents", "told"), [({}, "does not hold"), ({"b.tflite": b"other"}, "SHA-256")]
)
def test_a_wrong_npm_package_is_refused(with_optional, monkeypatch, contents, told):
    monkeypatch.setattr(model_files, "npm_download", npm_archive(contents))
    with pytest.raises(FetchError, match=told):
        model_files.fetch(["b.tflite"])
    assert list(with_optional.iterdir()) == []


def test_an_optional_file_that_cannot_be_had_is_done_without_unless_it_is_named(
    with_optional, monkeypatch
):
    def no_npm(package, version, folder):
        raise FetchError("no npm here")

    monkeypatch.setattr(model_files, "npm_download", no_npm)
    said = []
    assert model_files.fetch(report=said.append) == [with_optional / "a.tflite"]
    assert said[-1].startswith("going on without b.tflite, which is optional: no npm here")
    assert run_command("verify") == 0
    assert run_command("verify", "b.tflite") == 1
    (with_optional / "b.tflite").write_bytes(b"cut off")
    assert run_command("verify") == 1
    (with_optional / "b.tflite").unlink()
    with pytest.raises(FetchError, match="no npm here"):
        model_files.fetch(["b.tflite"])
    with pytest.raises(ModelFileMissing, match=r"d3pose models fetch b\.tflite"):
        model_files.model_path("b.tflite")


# What npm 11 says, of a package that is not there and of a registry that does not answer.
NOT_FOUND = """npm error code E404
npm error 404 Not Found - GET https://registry.example/@some%2fpackage - Not found
npm error 404  The requested resource could not be found
npm error A complete log of this run can be found in: /tmp/x.log
"""
NO_ANSWER = """npm error code ECONNREFUSED
npm error errno ECONNREFUSED
npm error FetchError: request to https://registry.example/ failed, reason: connect ECONNREFUSED
npm error A complete log of this run can be found in: /tmp/x.log
"""


@pytest.mark.parametrize(
    ("says", "status", "told"),
    [
        (NOT_FOUND, 1, r"404 Not Found .*npm ping"),
        (NO_ANSWER, 1, r"reason: connect ECONNREFUSED.*npm ping"),
        ("", 3, "exit status 3"),
        ("", 0, r"left no \*\.tgz"),
    ],
)
def test_failing_npm_is_explained(tmp_path, monkeypatch, says, status, told):
    """The stand-in is as silent as npm where it is asked to be."""
    fake = tmp_path / "npm"
    quiet = 'case "$*" in *silent*) exec 2>/dev/null;; esac'
    fake.write_text(f"#!/bin/sh\n{quiet}\necho '{says}' >&2\nexit {status}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=told):
        model_files.npm_download("@some/package", "1.2.3", tmp_path)


def test_npm_that_is_not_installed_is_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="apt-get install npm"):
        model_files.npm_download("@some/package", "1.2.3", tmp_path)


def test_npm_packs_without_running_scripts(tmp_path, monkeypatch):
    fake = tmp_path / "npm"
    folder = tmp_path / "packages"
    folder.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n: > x.tgz\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert model_files.npm_download("@some/package", "1.2.3", folder) == folder / "x.tgz"
    asked = (tmp_path / "asked").read_text().split()
    assert (asked[0], asked[-1]) == ("pack", "@some/package@1.2.3")
    assert "--ignore-scripts" in asked


def run_command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    models_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["models", *arguments])
    return args.run(args)


def test_command_fetches_lists_and_verifies(cache, monkeypatch, capsys):
    monkeypatch.setattr(model_files, "pip_download", Index(CONTENTS))
    assert run_command("verify") == 1
    assert run_command("list") == 0
    assert "missing" in capsys.readouterr().out
    assert run_command("fetch") == 0
    assert run_command("verify") == 0
    (cache / "b.tflite").write_bytes(b"")
    capsys.readouterr()
    assert run_command("verify") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [
        ["ok", "a.tflite"],
        ["damaged", "b.tflite"],
    ]


def test_the_real_files_are_in_the_cache():
    """`make test` fetches them first; everything that looks at people needs them."""
    for real in model_files.needed():
        assert model_files.state(real) == "ok", f"{real.name}: run `{model_files.FETCH_COMMAND}`"
