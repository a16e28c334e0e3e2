"""Builds the ROS messages for pip, by driving the same CMakeLists.txt that colcon does.

Everything static stands in pyproject.toml. Here, `build_ext` runs CMake into a staging folder and hands the
result on: generated Python goes into site-packages; libraries and share/ go into the prefix (`<venv>/lib`,
`<venv>/share`), where the ROS wheels keep theirs and look for ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PACKAGE = "d3pose_ros"
SITE_PACKAGES = Path(f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages")


def ros_prefix() -> Path | None:
    """The prefix of the ROS wheels that this interpreter sees; None on a sourced ROS installation.

    With pip's build isolation that is a temporary folder, not `sys.prefix`.
    """
    for entry in sys.path:
        prefix = Path(entry or ".").resolve().parents
        if len(prefix) > 2 and (prefix[2] / "share/ament_cmake_core/cmake").is_dir():
            return prefix[2]
    return None


def real_tf2_msgs_exists() -> bool:
    """Whether there is a tf2_msgs that an earlier build of ours did not make: see cmake/tf2_msgs."""
    prefixes = [
        Path(entry) for entry in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry
    ]
    wheels = ros_prefix()
    if wheels is not None:
        prefixes.append(wheels)
    shares = [prefix / "share" / "tf2_msgs" for prefix in prefixes]
    return any(s.is_dir() and not (s / "built_by_d3pose_ros").exists() for s in shares)


def run(*command: str | Path, env: dict[str, str]) -> None:
    """Runs one build step; says what to install when it fails."""
    try:
        subprocess.run([str(part) for part in command], env=env, check=True)
    except FileNotFoundError as error:
        raise SystemExit(f"d3pose: {command[0]} was not found: pip install cmake ninja") from error
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"d3pose: building the ROS messages failed: `{command[0]} {command[1]} ...` ended with status "
            f"{error.returncode}; the reason is above. It needs a C++ compiler (sudo apt-get install g++) "
            "and either the ROS wheels named in pyproject.toml or a sourced ROS 2 installation."
        ) from error


class BuildRosPackage(build_ext):
    """Builds and installs the CMake project into a staging folder, then distributes the files."""

    def run(self) -> None:
        build = Path(self.build_temp).resolve()
        stage = build / "stage"
        self._cmake(ROOT, build / "cmake", stage)
        if not real_tf2_msgs_exists():
            self._cmake(ROOT / "cmake" / "tf2_msgs", build / "tf2_msgs", stage)
        if self.editable_mode:
            # The checkout itself provides our modules; only the generated ones are added. Both folders are
            # part of the editable wheel, so that pip knows the files and uninstalls them.
            install = self.get_finalized_command("install")
            self._copy_generated(stage, Path(install.install_lib))
            for source, folder in self._prefix_files(stage):
                target = Path(install.install_data) / folder
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        else:
            self._copy_generated(stage, Path(self.build_lib))
            data_files: dict[str, list[str]] = {}
            for source, folder in self._prefix_files(stage):
                data_files.setdefault(str(folder), []).append(str(source))
            self.distribution.data_files = sorted(data_files.items())

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    @staticmethod
    def _cmake(source: Path, build: Path, stage: Path) -> None:
        env = dict(os.environ)
        prefix = ros_prefix()
        if prefix is not None:
            for name in ("CMAKE_PREFIX_PATH", "AMENT_PREFIX_PATH"):
                env[name] = os.pathsep.join(filter(None, (str(prefix), env.get(name))))
        run(
            *("cmake", "-S", source, "-B", build, f"-DCMAKE_INSTALL_PREFIX={stage}"),
            *(("-G", "Ninja") if shutil.which("ninja") else ()),
            *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF"),
            *(f"-DPython3_EXECUTABLE={sys.executable}", f"-DPYTHON_INSTALL_DIR={SITE_PACKAGES}"),
            env=env,
        )
        run("cmake", "--build", build, env=env)
        run("cmake", "--install", build, env=env)

    @staticmethod
    def _copy_generated(stage: Path, site_packages: Path) -> None:
        """Copies what rosidl generated, without the modules that setuptools installs itself."""

        def ours(folder: str, names: list[str]) -> set[str]:
            relative = Path(folder).relative_to(stage / SITE_PACKAGES)
            return {name for name in names if (ROOT / relative / name).is_file()}

        for name in (PACKAGE, "tf2_msgs"):
            package = stage / SITE_PACKAGES / name
            if package.is_dir():
                shutil.copytree(package, site_packages / name, ignore=ours, dirs_exist_ok=True)

    @staticmethod
    def _prefix_files(stage: Path) -> Iterator[tuple[Path, Path]]:
        """(file, its folder relative to the prefix) of everything staged outside site-packages."""
        for path in sorted(stage.rglob("*")):
            if path.is_file() and not path.is_relative_to(stage / SITE_PACKAGES):
                yield path, path.relative_to(stage).parent


class BinaryDistribution(Distribution):
    """Platform-specific, and always with `build_ext`, though no extension module is listed."""

    def has_ext_modules(self) -> bool:
        return True


setup(distclass=BinaryDistribution, cmdclass={"build_ext": BuildRosPackage})
