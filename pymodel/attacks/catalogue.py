"""Every attack by its name, and the jobs of `deeplock attack`."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import ModuleType
from typing import Any

from deeplock.pymodel.attacks import (
    ciphertext_only,
    fine_tuning,
    flat_table,
    genetic,
    known_plaintext,
    pruning,
    weak_sbox,
    wrong_key,
)
from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.target import SCRATCH, load_target
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.progress import Progress, quiet

__all__ = ["ATTACKS", "COLUMNS", "Job", "check_changes", "compare_with_scratch", "jobs", "record", "run_job"]

ATTACKS: dict[str, ModuleType] = {
    "known-plaintext": known_plaintext,
    "ciphertext-only": ciphertext_only,
    "flat-table": flat_table,
    "wrong-key": wrong_key,
    "pruning": pruning,
    "weak-sbox": weak_sbox,
    "genetic": genetic,
    "fine-tuning": fine_tuning,
}
COLUMNS = ("scheme", "attack", "network", "budget", "metric", "value", "yardstick", "seeds")
"""Columns of a row of security.json."""

_LOCK_ALONE = ("known-plaintext", "ciphertext-only", "flat-table")
"""Attacks that need no images."""


@dataclass(frozen=True)
class Job:
    """One attack on one scheme and network with one budget and seed; jobs run in parallel, and a result file lists them."""

    attack: str
    scheme: str
    network: str
    budget: Any
    seed: int
    images: int

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that determine the figures, as in a row of security.json."""
        budget = asdict(self.budget)
        if self.attack not in _LOCK_ALONE:
            budget["test_images"] = self.images
        return {
            "scheme": self.scheme,
            "attack": self.attack,
            "network": self.network,
            "budget": budget,
            "seeds": [self.seed],
        }

    @property
    def name(self) -> str:
        return f"{self.attack} on {self.scheme}, {self.network}"


def jobs(
    attacks: Iterable[str],
    networks: Iterable[str],
    seeds: Iterable[int],
    quick: bool,
    images: int,
    schemes: Iterable[str] = (),
    changes: Mapping[str, str] | None = None,
) -> Iterator[Job]:
    """All combinations, network by network; jobs that share a target are next to each other.

    schemes  only these, and `scratch`; none: all
    changes  budget fields to set otherwise than QUICK and FULL do, as text
    """
    wanted = {*schemes, SCRATCH} if schemes else None
    for network in networks:
        found = {}
        for attack in attacks:
            if attack not in ATTACKS:
                raise DeeplockError(f"attack must be one of {', '.join(ATTACKS)}, not {attack}")
            module = ATTACKS[attack]
            budgets = module.QUICK if quick else module.FULL
            for scheme in module.SCHEMES:
                if wanted is None or scheme in wanted:
                    for budget in budgets if isinstance(budgets, tuple) else (budgets,):
                        if not _needless(scheme, budget):
                            budget = _changed(budget, changes or {})
                            found |= {Job(attack, scheme, network, budget, seed, images): None for seed in seeds}
        yield from sorted(found, key=lambda job: (job.attack in _LOCK_ALONE, job.scheme))


def _changed(budget: Any, changes: Mapping[str, str]) -> Any:
    """The budget with the changes that concern its fields."""
    mine = {name: text for name, text in changes.items() if hasattr(budget, name)}
    try:
        numbers = {name: type(getattr(budget, name))(text) for name, text in mine.items()}
    except ValueError:
        raise DeeplockError(f"a budget is changed by NAME=NUMBER, not {', '.join(mine.values())}") from None
    for name, number in numbers.items():
        if isinstance(number, int | float) and not 0 < number < math.inf:
            raise DeeplockError(f"{name} of a budget must be above 0, not {mine[name]}")
    return replace(budget, **numbers)


def check_changes(attacks: Iterable[str], changes: Mapping[str, str]) -> None:
    """Raise `DeeplockError` for a field that no attack's budget has."""
    known = {field.name for attack in attacks for field in fields(ATTACKS[attack].Budget)}
    if unknown := changes.keys() - known:
        raise DeeplockError(f"budget has no {min(unknown)}: must be one of {', '.join(sorted(known))}")


def _needless(scheme: str, budget: Any) -> bool:
    """Whether the budget resets tensors without need: only Deep-Lock makes tensors that need a reset."""
    return getattr(budget, "reset", False) and scheme != "deep-lock"


def run_job(job: Job, data_dir: str | None = None, progress: Progress = quiet) -> list[Result]:
    """Run a job. This process keeps the protected network for its next job."""
    run = ATTACKS[job.attack].run
    if job.attack in _LOCK_ALONE:
        return run(job.network, job.budget, job.seed, progress)
    return run(load_target(job.network, job.scheme, job.seed, data_dir, job.images), job.budget, job.seed, progress)


def record(job: Job, results: Iterable[Result]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A job's results as rows and curves of security.json."""
    rows, curves = [], []
    for result in results:
        row = job.settings | {"metric": result.metric, "value": result.value, "yardstick": result.yardstick}
        rows.append({name: row[name] for name in COLUMNS})
        if result.curve:
            curves.append(job.settings | {"metric": result.metric, "points": [list(point) for point in result.curve]})
    return rows, curves


def compare_with_scratch(rows: list[dict[str, Any]]) -> None:
    """Fill in fine-tuning's yardstick: the best accuracy from scratch with the same share, epochs and network, at any rate."""

    def same(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["network"], row["budget"]["share"], row["budget"]["epochs"], tuple(row["seeds"])

    tuned = [row for row in rows if row["attack"] == "fine-tuning"]
    for row in tuned:
        scratch = [other["value"] for other in tuned if other["scheme"] == SCRATCH and same(other) == same(row)]
        row["yardstick"] = max(scratch, default=None)
