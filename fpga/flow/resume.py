"""Continues a sweep from its JSON file: which of its rows still hold."""

import json
from collections.abc import Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path

from deeplock.fpga.flow.jobs import Job
from deeplock.fpga.flow.report import Row, identity_of, labels_of
from deeplock.fpga.flow.synth import source_digest
from deeplock.fpga.flow.toolchain import versions
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.progress import Progress

__all__ = ["kept_rows"]


def _earlier(file: Path | None) -> tuple[dict[str, Row], dict[str, str]]:
    """The rows of a file by their identities, and its tools; nothing if there is no such file."""
    if file is None or not file.exists():
        return {}, {}
    try:
        found = json.loads(file.read_text())
        return {identity_of(row): row for row in [*found["rows"], *found["components"]]}, dict(found["tools"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DeeplockError(f"{file}: not a result of `deeplock synth`: remove it or name another file") from None


def kept_rows(jobs: Sequence[Job], file: Path | None, executor: Executor, progress: Progress) -> dict[Job, Row]:
    """The rows of `file`, as `deeplock synth --json` wrote it, that need not be measured again.

    Device, configuration and seeds are a job's, the tools have the versions that they have now, and the source digest is that
    of the job's design now. Only designs that have such a row are elaborated, to find their digests.

    Raises DeeplockError if the file is something else, or a program is missing.
    """
    rows, tools = _earlier(file)
    found = {job: row for job in jobs if (row := rows.get(identity_of(labels_of(job))))}
    same = {job: row for job, row in found.items() if versions(job.programs).items() <= tools.items()}
    digests = {executor.submit(source_digest, job.design, job.device): job for job in same}
    kept: dict[Job, Row] = {}
    for number, future in enumerate(as_completed(digests), 1):
        job = digests[future]
        if future.result() == same[job].get("digest"):
            kept[job] = same[job]
        progress(f"checking the rows of {file}: {job.name}", number, len(digests))
    if rows:
        progress(f"{len(kept)} of {len(jobs)} rows are kept from {file}")
    return kept
