"""Downloads the data sets' standard files, and checks the files in a folder.

A download is written to NAME.part, which a later one resumes, and is renamed once its SHA-256 is right. IDX files are
hashed uncompressed, so that any mirror's gzip file will do.
"""

import gzip
import hashlib
import os
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import replace_file
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.zoo import datasets

__all__ = ["Source", "SOURCES", "fetch", "verify", "download", "digest"]

_CHUNK = 1 << 18
_TIMEOUT = 30
"""Seconds without a byte until a mirror counts as dead."""


@dataclass(frozen=True)
class Source:
    """A file on the network.

    mirrors  folders that hold it, best first
    sha256   of its uncompressed content; of an archive, of the file itself
    members  files that are wanted from it, if it is an archive
    """

    name: str
    mirrors: tuple[str, ...]
    sha256: str
    members: tuple[str, ...] = ()


def _idx_sources(mirrors: tuple[str, ...], sha256: dict[str, str]) -> tuple[Source, ...]:
    return tuple(Source(f"{name}-ubyte.gz", mirrors, digest) for name, digest in sha256.items())


SOURCES = {
    "mnist": _idx_sources(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            "http://yann.lecun.com/exdb/mnist",
        ),
        {
            "train-images-idx3": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": _idx_sources(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        ),
        {
            "train-images-idx3": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "cifar10": (
        Source(
            "cifar-10-binary.tar.gz",
            (
                "https://www.cs.toronto.edu/~kriz",
                "https://cave.cs.toronto.edu/kriz",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10",
            ),
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            members=(*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
        ),
    ),
}


def digest(path: Path, source: Source) -> str:
    """SHA-256 as in `Source`, or what is wrong with the gzip file."""
    sha256 = hashlib.sha256()
    compressed = path.read_bytes()[:2] == b"\x1f\x8b" if not source.members else False
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return f"not a whole gzip file ({error})"
    return sha256.hexdigest()


def _receive(url: str, part: Path, progress: Progress) -> None:
    """Append the rest of the file at `url` to `part`. OSError or HTTPException if the transfer breaks off."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is complete, or of another file: its hash tells which
            return
        raise
    with response, part.open("ab") as file:
        if response.status != 206:  # the answer is the whole file, although a range was asked for
            have = 0
            file.truncate(0)
        length = response.headers.get("Content-Length")
        whole = have + int(length) if length else None
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            have += len(chunk)
            progress(f"{url}: {have / 1e6:.1f} MB", have / 1e6, (whole or 0) / 1e6)
    if whole is not None and have != whole:
        raise ConnectionError(f"broke off after {have} of {whole} bytes")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    return str(error.reason if isinstance(error, urllib.error.URLError) else error) or type(error).__name__


def download(source: Source, folder: Path, progress: Progress = quiet) -> None:
    """Download the file from the first mirror that has it, resuming from an earlier part.

    `DeeplockError`, with each mirror's answer, if none gives the whole, right file.
    """
    path, part = folder / source.name, folder / f"{source.name}.part"
    said = []
    for mirror in source.mirrors:
        url = f"{mirror}/{source.name}"
        for _ in range(1 + part.exists()):  # a part may be of another file: then start again
            try:
                _receive(url, part, progress)
            except (OSError, HTTPException) as error:
                said.append(f"{url}: {_reason(error)}")
                break
            if (found := digest(part, source)) == source.sha256:
                os.replace(part, path)
                return
            part.unlink()
            said.append(f"{url}: wrong content, SHA-256 must be {source.sha256}, not {found}")
    raise DeeplockError(f"{path}: no mirror gave it ({'; '.join(said)}): is there a network? Run it again to resume")


def _extract(archive: Path, members: Sequence[str]) -> None:
    """Extract the members next to the archive, named by the last part of their paths, and remove the archive."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if name in members and (file := tar.extractfile(member)) is not None:
                    replace_file(archive.with_name(name), file.read())
    except tarfile.TarError as error:
        raise DeeplockError(f"{archive}: not a whole archive ({error})") from None
    archive.unlink()


def _forms(path: Path) -> tuple[Path, Path]:
    """Paths of the unpacked file, which readers prefer, and of the downloaded one."""
    return path.with_suffix(""), path


def fetch(name: str, data_dir: str | os.PathLike[str], progress: Progress = quiet) -> None:
    """Download those of the data set's files that are missing or wrong in its folder in `data_dir`."""
    folder = Path(data_dir, name)
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES[name]:
        path = folder / source.name
        if source.members and all((folder / member).exists() for member in source.members):
            continue
        if not source.members and any(p.exists() and digest(p, source) == source.sha256 for p in _forms(path)):
            continue
        download(source, folder, progress)
        if source.members:
            _extract(path, source.members)


def verify(name: str, data_dir: str | os.PathLike[str]) -> list[tuple[Path, str]]:
    """Check each file of the data set and return what was checked; `DeeplockError` if one is missing or wrong.

    Checked are the structure (magic numbers, counts, lengths, labels; classes of equal size, except in MNIST) and, if it is
    known, the standard file's SHA-256. It is known for CIFAR-10's archive, not for its batches, because copies differ.
    """
    data = datasets.load(name, data_dir)
    for labels in (data.train_labels, data.test_labels):
        counts = np.bincount(labels, minlength=len(data.classes))
        if name != "mnist" and (counts != len(labels) // len(data.classes)).any():
            raise DeeplockError(
                f"{Path(data_dir, name)}: every class must have equally many images, not {counts.tolist()}"
            )
    checked = []
    for source in SOURCES[name]:
        for file in source.members or (source.name,):
            path = Path(data_dir, name, file)
            if source.members:
                checked.append((path, "structure"))
                continue
            path = next(form for form in _forms(path) if form.exists())
            if (found := digest(path, source)) != source.sha256:
                raise DeeplockError(f"{path}: SHA-256 of its content must be {source.sha256}, not {found}")
            checked.append((path, "structure, SHA-256"))
    return checked
