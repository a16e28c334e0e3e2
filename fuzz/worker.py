"""The process that runs a target: with atheris, which goes by coverage, or on random changes alone.

    python -m fuzz.worker TARGET --engine random --runs 1000 --seed 0 --folder FOLDER

`fuzz.supervise` starts it, and sees to it that it neither hangs nor dies unnoticed.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import importlib
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from fuzz.slot import Slot

# Of which coverage is taken: ours, and the parsers in Python that read for us.
INSTRUMENTED = ("d3pose_core", "d3pose_ros", "rosbags", "yaml", "fuzz.targets")
_ADDRESS_SPACE = 8 << 30
# Different places in the code that are reported; the rest is more of the same.
MOST_FINDINGS = 50


class Runner:
    """Runs inputs, counts them, and writes down each finding once."""

    def __init__(self, target, judge, finding, folder: Path, memory_mb: int) -> None:
        self._target, self._judge, self._finding = target, judge, finding
        self._folder = folder
        self._slot = Slot(folder / "slot")
        self._seen: set[str] = set()
        self._memory_mb = memory_mb
        self._peak_kb = _peak_kb()
        # So that one input can't take the whole machine; `memory_mb` is held against what was really used.
        most = _address_space() + _ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

    def __call__(self, data: bytes) -> None:
        self._slot.begin(data)
        accepted = None
        try:
            accepted = self._judge(self._target, data)
        except self._finding as error:
            self._report("crash", data, error)
        finally:
            self._slot.end(accepted)
        grown_mb = (_peak_kb() - self._peak_kb) / 1024
        self._peak_kb = _peak_kb()
        if grown_mb > self._memory_mb:
            self._report("memory", data, None, f"{grown_mb:.0f} MB for {len(data)} bytes")

    def _report(self, kind: str, data: bytes, error: Exception | None, text: str = "") -> None:
        """Once for each place in the code."""
        place, lines = text.split(" ")[0], [text]
        if error is not None and error.__cause__ is not None:
            cause = error.__cause__
            frames = traceback.extract_tb(cause.__traceback__)
            ours = [f for f in frames if "d3pose" in f.filename] or list(frames)
            place = f"{type(cause).__name__} {ours[-1].filename}:{ours[-1].lineno}"
            lines = traceback.format_exception(cause)
        if place in self._seen or len(self._seen) >= MOST_FINDINGS:
            return
        self._seen.add(place)
        save_finding(self._folder, kind, data, "".join(lines))


def save_finding(folder: Path, kind: str, data: bytes, text: str) -> Path:
    """Writes the input and what it did; returns the input's path."""
    path = folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(text + "\n", encoding="utf-8", errors="replace")
    return path


def _peak_kb() -> int:
    """Of this program: getrusage's begins with what the process that started it had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _address_space() -> int:
    """Of this process, bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _run_random(name: str, folder: Path, runs: int, seed: int, memory_mb: int) -> None:
    from fuzz import target as targets
    from fuzz.mutate import Mutator

    target = targets.load(name)
    mutator = Mutator(target, seed)
    run = _warmed(target, targets, folder, memory_mb)
    for _ in range(runs):
        run(mutator.next())


def _run_atheris(name: str, folder: Path, runs: int, seed: int, memory_mb: int) -> None:
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        targets = importlib.import_module("fuzz.target")
        target = targets.load(name)
    run = _warmed(target, targets, folder, memory_mb)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed_input in enumerate(target.seeds()):
            Path(corpus, str(number)).write_bytes(seed_input)
        options = [
            *(f"-runs={runs}", f"-seed={seed + 1}", f"-max_len={target.max_length}"),
            # The limits are ours, the same for both engines.
            *("-timeout=1000000", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-verbosity=0"),
            *("-handle_abrt=0", "-handle_segv=0", "-handle_usr1=0"),
            f"-artifact_prefix={folder}/",
        ]
        if target.words:
            words = Path(corpus + ".words")
            words.write_text(_dictionary(target.words))
            options.append(f"-dict={words}")
        atheris.Setup([sys.argv[0], *options, corpus], run)
        atheris.Fuzz()  # ends the process


def _dictionary(words: tuple[bytes, ...]) -> str:
    """As libFuzzer reads it."""
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in words if word)
    return "".join(f'"{line}"\n' for line in lines)


def _warmed(target, targets, folder: Path, memory_mb: int) -> Callable[[bytes], None]:
    """A runner whose limits count from after the first uses, which import and cache."""
    for seed_input in target.seeds():
        # What is wrong with a seed is found again under the limits.
        with contextlib.suppress(targets.Finding):
            targets.judge(target, seed_input)
    return Runner(target, targets.judge, targets.Finding, folder, memory_mb)


def main() -> None:
    """Exit status 0; findings are files in the folder."""
    parser = argparse.ArgumentParser(prog="fuzz.worker", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--engine", choices=("atheris", "random"), required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    args = parser.parse_args()
    # The supervisor asks where it hangs before it ends it.
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    engine = _run_atheris if args.engine == "atheris" else _run_random
    engine(args.target, args.folder, args.runs, args.seed, args.memory_mb)


if __name__ == "__main__":
    main()
