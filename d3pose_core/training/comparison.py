"""The comparison of D3Pose with its peers: train what is not trained yet, score all, write the table."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from d3pose_core.body import load_body
from d3pose_core.configuration import options, read_mapping
from d3pose_core.data.motions import SHARD_FPS, MotionLibrary
from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.simulator import TrainingBatch
from d3pose_core.errors import InputError
from d3pose_core.evaluation.compare import Network, evaluate, lookahead_frames, streaming_cost
from d3pose_core.evaluation.comparison_table import write_comparison
from d3pose_core.evaluation.held_out import held_out_batches
from d3pose_core.evaluation.tune_one_euro import tuned_one_euro
from d3pose_core.model.baselines import PEERS
from d3pose_core.model.baselines.checkpoint import load_peer
from d3pose_core.model.checkpoint import load_model
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.peers import train_peer

ONE_EURO = "one_euro"
ONE_EURO_SEQUENCES = 48  # of the validation people, to choose the filter's settings on


@dataclass(frozen=True)
class ComparisonConfig:
    """Read from a YAML file; see config/bench_models.yaml."""

    training: str  # a training configuration, whose data, losses and selection the peers share
    output: str
    networks: tuple[str, ...] = (*PEERS, ONE_EURO)
    weights: tuple[str, ...] = ("d3pose-landmarks",)  # D3Pose networks, trained before
    # Of the table's names, those that are scored both ways, too, as D3Pose runs on a robot
    # (`runtime.both_ways`).
    both_ways: tuple[str, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)  # to the training configuration
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)  # network -> constructor's sizes
    sequences: int = 256  # of 3 s, of each test set of motions
    foreign: tuple[str, ...] = ()  # motion shards that are for evaluation only
    rendered: tuple[str, ...] = ()  # recordings of rendered people (`data.rendered`)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.networks) - {*PEERS, ONE_EURO})
        if unknown:
            raise InputError(f"unknown networks {unknown}; known are {[*PEERS, ONE_EURO]}")
        if ONE_EURO in self.networks and "per_frame" not in self.networks:
            raise InputError(f"{ONE_EURO} filters per_frame: list both under `networks`")
        rows = [*self.networks, *map(_row, self.weights)]
        unknown = sorted(set(self.both_ways) - set(rows))
        if unknown:
            raise InputError(f"both_ways names {unknown}; the table has {rows}")
        if self.sequences < 1:
            raise InputError(f"sequences must be at least 1, got {self.sequences}")

    @classmethod
    def load(cls, path: str | Path) -> ComparisonConfig:
        """Read a YAML file; unknown names are errors."""
        if not Path(path).is_file():
            raise InputError(f"no comparison at {path}; see config/bench_models.yaml")
        return options(cls, read_mapping(path), path)

    def training_of(self, network: str) -> TrainConfig:
        """The training configuration of one network."""
        training = TrainConfig.load(self.training)
        values = {f.name: getattr(training, f.name) for f in dataclasses.fields(training)}
        values |= {**self.changes, "output": str(Path(self.output) / network)}
        return options(TrainConfig, values, "`changes` to the training", "training options")


def compare(config: ComparisonConfig) -> str:
    """Everything that the configuration asks for; returns the tables as Markdown."""
    torch.set_num_threads(1)
    body = load_body("free-low")
    networks = dict(_networks(config))
    motions = config.training_of("").motions
    test_sets = dict(_test_sets(config, motions))
    # As many frames as any network remembers.
    observations = next(iter(test_sets.values()))[0].observations

    tables: dict[str, dict[str, dict[str, float]]] = {test_set: {} for test_set in test_sets}
    for name, model in networks.items():
        for both_ways in (False, True) if name in config.both_ways else (False,):
            # A mirror image costs what a second person does.
            cost = streaming_cost(model, observations[: 2 if both_ways else 1])
            cost["lookahead_ms"] = 1000 * lookahead_frames(model) / SHARD_FPS
            row = f"{name}, both ways" if both_ways else name
            for test_set, batches in test_sets.items():
                tables[test_set][row] = evaluate(model, batches, body, both_ways) | cost
    training = config.training_of("")
    notes = {
        "training of the peers": f"{training.steps} steps of {training.batch} windows of "
        f"{training.frames} frames, {training.optimizer}, {training.precision}, best of the "
        f"validation people every {training.validate_every} steps",
        "data": ", ".join(Path(m).name for m in motions),
        "speed": f"1 thread, torch {torch.__version__}, {platform.machine()}",
    }
    return write_comparison(Path(config.output), tables, notes)


def _networks(config: ComparisonConfig) -> Iterator[tuple[str, Network]]:
    """Every network of the comparison, trained."""
    for name in config.networks:
        if name == ONE_EURO:
            continue
        peer = load_peer(train_peer(name, config.training_of(name), config.sizes.get(name)))
        yield name, peer
        if name == "per_frame" and ONE_EURO in config.networks:
            body = load_body("free-low")
            people = MotionLibrary(config.training_of(name).motions, "val")
            batches = held_out_batches(people, body, ONE_EURO_SEQUENCES)
            path = Path(config.output) / ONE_EURO / "settings.json"
            yield ONE_EURO, tuned_one_euro(path, peer, batches, body)
    for weights in config.weights:
        yield _row(weights), load_model(weights)


def _row(weights: str) -> str:
    """What the table calls a D3Pose network."""
    return Path(weights).stem if "/" in weights else weights


def _test_sets(
    config: ComparisonConfig, motions: tuple[str, ...]
) -> Iterator[tuple[str, list[TrainingBatch]]]:
    body = load_body("free-low")
    people = MotionLibrary(motions, "test")
    yield "Held-out people", held_out_batches(people, body, config.sequences)
    for shard in config.foreign:
        people = MotionLibrary([shard], "test")
        yield f"Foreign: {Path(shard).stem}", held_out_batches(people, body, config.sequences)
    for recording in config.rendered:
        rendered = RenderedSet.load(recording)
        yield f"Rendered: {Path(recording).stem}", rendered.batches(body)
