"""Log files line by line, from a folder or from object storage, in flat memory whatever they hold."""

from __future__ import annotations

import glob as globbing
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from trial import s3_actions
from trial.errors import Denied, Malformed, NotFound, SourceError, Unreachable

MAX_LINE_BYTES = 1 << 20
# Logs shrink to a tenth or a thirtieth. A file that unpacks to more than these together was made to fill disks.
MAX_RATIO = 200
UNPACKED_ALWAYS = 16 << 20
_CHUNK = 1 << 16
# Four bytes of Zstandard may stand for 128 KiB, and its decompressor gives all of them at once: so it is fed little.
_ZSTD_LEAST, _ZSTD_MOST = 256, 2048
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line of a file.

    Args:
        file: its path or URL as matched; with `number` (from 1) the line's place.
        data: the bytes without line end; cut after MAX_LINE_BYTES + 1 bytes where the line is longer.
        modified_at: when the file was last written, as its file system says.
    """

    file: str
    number: int
    data: bytes
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One matched file that can be opened; `open` gives plain bytes, whatever the file was compressed with."""

    name: str
    modified_at: datetime | None
    filesystem: Any = None
    path: str = ""
    size: int = 0

    def open(self) -> BinaryIO:
        """
        The file's plain bytes; whatever reads them meets failures in these words too.

        Raises:
            Denied, NotFound, Unreachable: the file cannot be read. Malformed: its compressed data is damaged or ends early.
        """
        try:
            raw = open(self.path, "rb") if self.filesystem is None else self.filesystem.open_input_stream(self.path, compression=None)  # noqa: SIM115
        except OSError as exc:
            raise file_error(exc, self.name) from exc
        try:
            return _decompressed(raw, self.name)
        except (*_DAMAGE, OSError) as exc:
            raw.close()
            raise _damaged(exc, self.name) from exc

    def open_seekable(self) -> Any:
        """
        The file as it lies, for formats that are read from their end.

        Raises:
            Denied, NotFound, Unreachable: the file cannot be opened.
        """
        try:
            return open(self.path, "rb") if self.filesystem is None else self.filesystem.open_input_file(self.path)
        except OSError as exc:
            raise file_error(exc, self.name) from exc


def open_lines(pattern: str, *, folder: Path | None = None) -> Iterator[Line]:
    """
    Every line of every file that `pattern` matches, in order of file name.

    Gzip and Zstandard are recognised by their first bytes, not by the name; a byte order mark and CR LF are taken off.

    Args:
        pattern: a glob on this machine (relative to `folder`), or an s3:// or gs:// glob.

    Raises:
        NotFound: nothing matches. Denied, Unreachable: as the storage says. Malformed: compressed data that breaks off.
    """
    for source in match_files(pattern, folder=folder):
        with source.open() as stream:
            for number, data in enumerate(split_lines(stream), start=1):
                yield Line(file=source.name, number=number, data=data, modified_at=source.modified_at)


def match_files(pattern: str, *, folder: Path | None = None) -> list[Source]:
    """
    The files that `pattern` matches, sorted by name.

    Raises:
        NotFound: nothing matches. Denied, Unreachable: as the storage says.
    """
    sources = _remote(pattern) if "://" in pattern else _local(pattern, folder or Path.cwd())
    if not sources:
        raise NotFound("no file matches", where=pattern, do="Check the path; it may use *, ? and **, and is relative to trial.toml")
    return sorted(sources, key=lambda source: source.name)


def split_lines(stream: BinaryIO, *, limit: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """Lines without their ends. A line beyond `limit` comes cut at limit + 1 bytes, and its rest is skipped unread."""
    rest, skipping, first = b"", False, True
    while chunk := stream.read(_CHUNK):
        if first:
            chunk, first = chunk.removeprefix(b"\xef\xbb\xbf"), False
        pieces = (rest + chunk).split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            if skipping:
                skipping = False
                continue
            yield piece.removesuffix(b"\r")[: limit + 1]
        if skipping:
            rest = b""
        elif len(rest) > limit:
            yield rest[: limit + 1]
            rest, skipping = b"", True
    if rest and not skipping:
        yield rest.removesuffix(b"\r")


def text_of(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 becomes U+FFFD, so that every line can be stored and shown."""
    return data.decode("utf-8", errors="replace")


def _damaged(exc: Exception, where: str) -> SourceError:
    if isinstance(exc, _DAMAGE):
        return Malformed(f"compressed data is damaged or ends early: {exc}", where=where, do="Copy the file again")
    return file_error(exc, where)


def _decompressed(raw: Any, name: str) -> BinaryIO:
    packed = _Rejoined(raw.read(4), raw)
    plain: Any = io.BufferedReader(packed, _CHUNK)
    stream = plain
    # Firehose packs CloudWatch's gzip into gzip of its own, so a second layer is looked for.
    for _ in range(2):
        head = stream.peek(4)[:4]
        if head[:2] == b"\x1f\x8b":
            stream = io.BufferedReader(_Owning(gzip.GzipFile(fileobj=stream, mode="rb"), stream), _CHUNK)
        elif head == b"\x28\xb5\x2f\xfd":
            stream = io.BufferedReader(_Owning(_Zstd(stream), stream), _CHUNK)
    return io.BufferedReader(_Checked(stream, packed, name, is_packed=stream is not plain), _CHUNK)


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already; object storage cannot seek back."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head, self._rest = head, rest
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # The head and what follows together: a peek at the stream is one such read, and should show more than four bytes.
        data = self._head + self._rest.read(len(buffer) - len(self._head))
        self._head = b""
        self.count += len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._rest.close()
        super().close()


class _Owning(io.RawIOBase):
    """A decompressor that closes what it reads from."""

    def __init__(self, inner: Any, below: Any) -> None:
        self._inner, self._below = inner, below
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._rest or memoryview(self._inner.read(len(buffer)))
        given, self._rest = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._below.close()
        super().close()


class _Checked(io.RawIOBase):
    """Plain bytes, as long as they stand in proportion to the packed ones they come from; failures in this project's words."""

    def __init__(self, stream: Any, packed: _Rejoined, name: str, *, is_packed: bool) -> None:
        self._stream, self._packed, self._name, self._given = stream, packed, name, 0
        self._is_packed = is_packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            given = self._stream.readinto(buffer)
        except (*_DAMAGE, OSError) as exc:
            raise _damaged(exc, self._name) from exc
        self._given += given
        if self._is_packed and self._given > max(UNPACKED_ALWAYS, MAX_RATIO * self._packed.count):
            raise Malformed(
                f"unpacks to more than {MAX_RATIO} times its size, as no log does",
                where=self._name,
                do="If it is yours, unpack it yourself: plain files are read at any size",
            )
        return given

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Zstd:
    """Frames one after the other. The library's own reader takes data that breaks off for its end, and says nothing."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._rest = raw, b""
        self._piece = _ZSTD_LEAST
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def read(self, _size: int = -1) -> bytes:
        while True:
            data, self._rest = self._rest or self._raw.read(self._piece), b""
            if not data:
                if self._frame is not None:
                    raise EOFError("the last frame is not whole")
                return b""
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            out = self._frame.decompress(data)
            self._piece = min(2 * self._piece, _ZSTD_MOST) if len(out) < MAX_RATIO * len(data) else _ZSTD_LEAST
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
            if out:
                return out

    def close(self) -> None:
        self._raw.close()


def _local(pattern: str, folder: Path) -> list[Source]:
    full = str(folder / Path(pattern).expanduser())
    paths = [Path(p) for p in globbing.glob(full, recursive=True)] or [Path(full)]
    sources = []
    for path in paths:
        if path.is_file():
            about = path.stat()
            # Named as trial.toml sees it, so that a trial's folder can move without its lines becoming others.
            name = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
            at = datetime.fromtimestamp(about.st_mtime, UTC)
            sources.append(Source(name=name, path=str(path), modified_at=at, size=about.st_size))
    return sources


def _remote(pattern: str) -> list[Source]:
    from pyarrow import fs

    scheme, _, rest = pattern.partition("://")
    rest, _, query = rest.partition("?endpoint_override=")
    magic = _GLOB.search(rest)
    base = rest[: rest.rfind("/", 0, magic.start())] if magic else rest
    # pyarrow takes another address than the vendor's as part of the URL: s3://bucket/x?endpoint_override=...
    address = f"{scheme}://{base}" + (f"?endpoint_override={query}" if query else "")
    try:
        filesystem, path = fs.FileSystem.from_uri(address)
        if not magic:
            infos = [filesystem.get_file_info(path)]
        else:
            infos = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    except (OSError, ValueError) as exc:
        raise file_error(exc, pattern) from exc
    wanted = path + rest[len(base) :]
    return [
        Source(name=f"{scheme}://{info.path}", path=info.path, modified_at=info.mtime, filesystem=filesystem, size=info.size or 0)
        for info in infos
        if info.type == fs.FileType.File and fnmatch(info.path, wanted)
    ]


def file_error(exc: Exception, where: str) -> Denied | NotFound | Unreachable:
    """What a file system raised, as an error of ours; where S3 refuses a call it names the action to grant."""
    text = str(exc)
    if isinstance(exc, PermissionError) or re.search(
        r"ACCESS_DENIED|HTTP 403|Forbidden|PERMISSION_DENIED|credentials", text, re.IGNORECASE
    ):
        grant = s3_actions.missing(text) or "read and list"
        return Denied("not permitted to read it", where=where, do=f"Grant {grant} on it to the credentials in use")
    if isinstance(exc, (FileNotFoundError, IsADirectoryError, ValueError)) or re.search(r"NO_SUCH|NOT_FOUND|HTTP 404", text):
        return NotFound(f"cannot be opened: {text[:200]}", where=where, do="Check the path in trial.toml")
    return Unreachable(f"cannot be read: {text[:200]}", where=where)
