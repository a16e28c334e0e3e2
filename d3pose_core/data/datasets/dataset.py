"""What every reader of a dataset is: named sequences of one split, loaded one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from d3pose_core.data.datasets.sequence import DatasetSequence
from d3pose_core.data.datasets.world_to_camera import Bodies
from d3pose_core.errors import D3PoseError, InputError


class Dataset(ABC):
    """Sequences of one split of a dataset that lies in a folder.

    Attributes:
        names: of the sequences, sorted.
    """

    key: ClassVar[str]  # as `open_dataset` takes it
    title: ClassVar[str]
    where_to_get: ClassVar[str]
    layout: ClassVar[str]  # what the folder has to hold
    splits: ClassVar[tuple[str, ...]]

    def __init__(self, root: str | Path, split: str, bodies: Bodies | None = None) -> None:
        """Looks at the folder; files are read by `load`.

        Args:
            root: the folder that `layout` describes.
            split: one of `splits`.
            bodies: your SMPL files by gender, for datasets that need them (`bodies_in`).

        Raises:
            InputError: no such split, or a folder without the dataset.
        """
        self.root, self.split, self.bodies = Path(root).expanduser(), split, bodies
        if split not in self.splits:
            raise InputError(f"{self.title} has the splits {', '.join(self.splits)}, not {split!r}")
        if not self.root.is_dir():
            raise self.missing(self.root)
        try:
            self.names = tuple(sorted(self._find()))
        except D3PoseError:
            raise
        except Exception as error:  # numpy's, json's, scipy's: whatever damaged lists lead to
            raise self._damaged("the list of its sequences", error) from error
        if not self.names:
            raise InputError(f"no sequence of split {split!r} under {self.root}; {self._help()}")

    @abstractmethod
    def _find(self) -> list[str]:
        """Names of the sequences."""

    @abstractmethod
    def _load(self, name: str) -> DatasetSequence:
        """One sequence; may raise anything for a damaged file."""

    def load(self, name: str) -> DatasetSequence:
        """One sequence.

        Raises:
            InputError: a file is missing or damaged, or names images outside of the dataset's folder.
        """
        try:
            sequence = self._load(name)
        except D3PoseError:
            raise
        except Exception as error:  # numpy's, json's, scipy's: whatever damaged files lead to
            raise self._damaged(name, error) from error
        for path in sequence.image_paths:
            if not path.is_relative_to(self.root) or ".." in path.relative_to(self.root).parts:
                raise InputError(
                    f"{self.title}: {name} names an image outside of {self.root}: {path}"
                )
        return sequence

    def _damaged(self, what: str, error: Exception) -> InputError:
        return InputError(
            f"{self.title}: {what} can't be read ({type(error).__name__}: {error}): a file is damaged, or of "
            f"another release; {self._help()}"
        )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[DatasetSequence]:
        return (self.load(name) for name in self.names)

    def missing(self, path: Path) -> InputError:
        """The error for a file that isn't there."""
        return InputError(f"{self.title}: {path} is missing; {self._help()}")

    def need(self, path: Path) -> Path:
        """`path`, if it is there."""
        if not path.exists():
            raise self.missing(path)
        return path

    def fields(self, path: Path, values: Mapping[str, Any], *names: str) -> list[Any]:
        """Some entries of a file. Raises InputError that names those it lacks."""
        if not isinstance(values, Mapping):
            raise InputError(
                f"{self.title}: {path} holds a {type(values).__name__}, not named arrays"
            )
        lacking = [name for name in names if name not in values]
        if lacking:
            raise InputError(
                f"{self.title}: {path} lacks {', '.join(lacking)} (it has {', '.join(map(str, values))}): "
                "not a file of this dataset, or of another release"
            )
        return [values[name] for name in names]

    def _help(self) -> str:
        return f"expected is {self.layout}. Register and download at {self.where_to_get}"


def full_gender(name: Any) -> str:
    """'m', 'f', "male", b'neutral', array('female') ... -> "male", "female" or "neutral"."""
    text = name.item() if hasattr(name, "item") else name
    text = text.decode() if isinstance(text, bytes) else str(text)
    return {"m": "male", "f": "female"}.get(text[:1].lower(), "neutral")


def first_betas(betas: Any) -> np.ndarray:
    """[10]: the first ten of however many a dataset gives for one person, 0 where it has fewer."""
    given = np.asarray(betas, np.float64).ravel()[:10]
    return np.pad(given, (0, 10 - len(given)))
