"""Downloads from mirrors on this machine; nothing here needs a network."""

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import fetch
from deeplock.pymodel.zoo.datasets import DOWNLOADED

CONTENT = bytes(range(256)) * 40
DEAD = "http://127.0.0.1:1"


@dataclass
class Mirror:
    """files  by path
    asked     path and range of every request, in order
    breaks    bytes after which an answer breaks off
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    breaks: int | None = None
    ranges: bool = True


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    state = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.asked.append((self.path, wanted))
            content = state.files.get(self.path)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            if content is None or start >= len(content):
                self.send_response(404 if content is None else 416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:][: state.breaks])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def source(*mirrors: str, content: bytes = CONTENT, **fields) -> fetch.Source:
    return fetch.Source("file.bin", mirrors, hashlib.sha256(content).hexdigest(), **fields)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_whole_and_progress_told(mirror, tmp_path):
    mirror.files["/file.bin"] = CONTENT
    said = []
    fetch.download(source(mirror.url), tmp_path, lambda *step: said.append(step))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin"]
    assert said == [(f"{mirror.url}/file.bin: 0.0 MB", len(CONTENT) / 1e6, len(CONTENT) / 1e6)]


def test_a_dead_mirror_and_one_without_the_file_are_passed_over(mirror, tmp_path):
    mirror.files["/good/file.bin"] = CONTENT
    fetch.download(source(DEAD, f"{mirror.url}/empty", f"{mirror.url}/good"), tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert mirror.asked == [("/empty/file.bin", None), ("/good/file.bin", None)]


def test_what_broke_off_is_resumed(mirror, tmp_path):
    mirror.files["/file.bin"] = CONTENT
    mirror.breaks = 1000
    with pytest.raises(DeeplockError, match=f"broke off after 1000 of {len(CONTENT)} bytes"):
        fetch.download(source(mirror.url), tmp_path)
    assert names(tmp_path) == ["file.bin.part"]
    mirror.breaks = None
    fetch.download(source(mirror.url), tmp_path)
    assert mirror.asked == [("/file.bin", None), ("/file.bin", "bytes=1000-")]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT and names(tmp_path) == ["file.bin"]


def test_a_mirror_that_cannot_resume_gives_the_whole_file(mirror, tmp_path):
    mirror.files["/file.bin"], mirror.ranges = CONTENT, False
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:10])
    fetch.download(source(mirror.url), tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"of another file", CONTENT + b"x"], ids=["foreign", "too long"])
def test_a_part_of_another_file_is_thrown_away(mirror, tmp_path, part):
    mirror.files["/file.bin"] = CONTENT
    (tmp_path / "file.bin.part").write_bytes(part)
    fetch.download(source(mirror.url), tmp_path)
    assert mirror.asked == [("/file.bin", f"bytes={len(part)}-"), ("/file.bin", None)]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_whole_part_needs_only_its_name(mirror, tmp_path):
    mirror.files["/file.bin"] = CONTENT
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    fetch.download(source(mirror.url), tmp_path)
    assert names(tmp_path) == ["file.bin"]


def test_wrong_content_is_refused_and_the_next_mirror_asked(mirror, tmp_path):
    mirror.files |= {"/bad/file.bin": b"wrong", "/good/file.bin": CONTENT}
    bad, good = (f"{mirror.url}/{name}" for name in ("bad", "good"))
    with pytest.raises(DeeplockError, match=r"bad/file.bin: wrong content, SHA-256 must be .*, not "):
        fetch.download(source(bad), tmp_path)
    assert names(tmp_path) == []
    fetch.download(source(bad, good), tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_without_a_network_every_mirror_is_told_in_one_line(tmp_path):
    with pytest.raises(DeeplockError) as caught:
        fetch.download(source(DEAD, f"{DEAD}/other"), tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/file.bin: no mirror gave it ({DEAD}/file.bin: ")
    assert f"; {DEAD}/other/file.bin: " in text and "is there a network?" in text and "\n" not in text


@pytest.fixture
def small(mirror, monkeypatch) -> Mirror:
    """The data set "mnist" is a gzip file and an archive of a file, on the mirror."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in (("top/wanted.bin", b"wanted"), ("top/readme.html", b"not wanted")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    mirror.files |= {"/labels.gz": gzip.compress(CONTENT), "/all.tar.gz": archive.getvalue()}
    sources = (
        fetch.Source("labels.gz", (mirror.url,), hashlib.sha256(CONTENT).hexdigest()),
        fetch.Source("all.tar.gz", (mirror.url,), hashlib.sha256(archive.getvalue()).hexdigest(), ("wanted.bin",)),
    )
    monkeypatch.setitem(fetch.SOURCES, "mnist", sources)
    return mirror


def test_fetch_unpacks_archives_and_asks_only_for_what_is_wrong(small, tmp_path):
    fetch.fetch("mnist", tmp_path)
    assert names(tmp_path / "mnist") == ["labels.gz", "wanted.bin"]
    assert (tmp_path / "mnist/wanted.bin").read_bytes() == b"wanted"
    asked = len(small.asked)
    fetch.fetch("mnist", tmp_path)
    assert len(small.asked) == asked
    (tmp_path / "mnist/labels.gz").write_bytes(gzip.compress(CONTENT)[:-20])
    fetch.fetch("mnist", tmp_path)
    assert gzip.decompress((tmp_path / "mnist/labels.gz").read_bytes()) == CONTENT


def test_every_data_set_has_two_mirrors_at_least():
    assert tuple(fetch.SOURCES) == DOWNLOADED
    for file in (file for files in fetch.SOURCES.values() for file in files):
        assert len(set(file.mirrors)) >= 2 and len(file.sha256) == 64
