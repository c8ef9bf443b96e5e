"""Files under the store's root, on a local folder or an object store: written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.fs as pafs

from trial import s3_actions
from trial.errors import ConfigError, StoreError

# What a draft may meet on this machine's disk; any other OSError inside a scratch folder is somebody else's.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
# Manifests and journals are replaced once in a while; more than two versions during one read are rare.
_READS = 20
# Drafts of a process that was killed: nothing that still runs is as old.
_FORGOTTEN_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """
    A pyarrow filesystem and a root in it.

    Files are first written whole to a scratch folder on this machine and then published: by rename where the root is
    local (atomic), by one upload where it is an object store (an object appears when its upload ends).
    """

    fs: pafs.FileSystem
    root: str
    local: bool

    @classmethod
    def at(cls, url: str) -> Files:
        """
        Raises:
            ConfigError: a scheme other than a folder, s3:// or gs://.
        """
        if "://" not in url:
            return cls(fs=pafs.LocalFileSystem(), root=str(Path(url).resolve()), local=True)
        if not url.startswith(("s3://", "gs://")):
            raise ConfigError(f"`store.url` is {url!r}", do="Use a folder, s3://bucket/prefix or gs://bucket/prefix")
        fs, root = pafs.FileSystem.from_uri(url)
        return cls(fs=fs, root=root.rstrip("/"), local=False)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        with _mapped(name):
            return self.fs.get_file_info(self.path(name)).type == pafs.FileType.File

    def list(self, folder: str) -> list[str]:
        """Names of the files under `folder`, at any depth, sorted; nothing where the folder is missing."""
        with _mapped(folder):
            infos = self.fs.get_file_info(pafs.FileSelector(self.path(folder), recursive=True, allow_not_found=True))
        return sorted(i.path[len(self.root) + 1 :] for i in infos if i.type == pafs.FileType.File)

    def modified(self, folder: str) -> dict[str, datetime]:
        """When each file under `folder` was last written, by the clock of whoever keeps it."""
        with _mapped(folder):
            infos = self.fs.get_file_info(pafs.FileSelector(self.path(folder), recursive=True, allow_not_found=True))
        return {i.path[len(self.root) + 1 :]: i.mtime for i in infos if i.type == pafs.FileType.File}

    def read(self, name: str) -> bytes:
        """
        The whole of one version of a file, also while others replace it.

        Raises:
            StoreError: it is replaced all the time, or cannot be read.
        """
        with _mapped(name):
            for _ in range(_READS):
                with self.fs.open_input_stream(self.path(name), compression=None) as stream:
                    before, data = stream.metadata(), stream.read()
                # Object stores answer in pieces, each from the version that is there at that moment.
                if self.local or before == self._metadata(name):
                    return data
        raise StoreError("it is replaced faster than it can be read", where=name, do="Run again when the other collection has ended")

    def _metadata(self, name: str) -> Any:
        with self.fs.open_input_stream(self.path(name), compression=None) as stream:
            return stream.metadata()

    def open(self, name: str) -> pa.NativeFile:
        with _mapped(name):
            return self.fs.open_input_file(self.path(name))

    def write(self, name: str, data: bytes) -> None:
        with self.scratch() as folder:
            draft = folder / "draft"
            draft.write_bytes(data)
            self.publish(draft, name)

    def publish(self, draft: Path, name: str) -> None:
        """Moves a finished local file into place, replacing what is there."""
        with _mapped(name):
            if self.local:
                target = Path(self.path(name))
                target.parent.mkdir(parents=True, exist_ok=True)
                with draft.open("rb") as written:
                    os.fsync(written.fileno())
                draft.replace(target)
            else:
                with draft.open("rb") as source, self.fs.open_output_stream(self.path(name), compression=None) as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)

    def delete(self, name: str) -> None:
        with _mapped(name), contextlib.suppress(FileNotFoundError):
            self.fs.delete_file(self.path(name))

    def open_lock(self, name: str) -> BinaryIO:
        """A file under a local root to take a lock on, made where it is missing."""
        with _mapped(name):
            path = Path(self.path(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("ab")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """
        A folder for drafts that is gone afterwards; on the root's own disk where the root is local.

        Raises:
            StoreError: inside it the disk was full, or failed.
        """
        with _mapped(".scratch"):
            base = None
            if self.local:
                base = Path(self.root) / ".scratch"
                base.mkdir(parents=True, exist_ok=True)
                _sweep(base)
            folder = Path(tempfile.mkdtemp(dir=base))
        try:
            yield folder
        except OSError as exc:
            if exc.errno not in _DISK:
                raise
            said = exc.strerror or str(exc)
            raise StoreError(said, where=str(folder.parent), do="Make room and collect again; nothing stored was changed") from exc
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(base: Path) -> None:
    for folder in base.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
                shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def _mapped(name: str) -> Iterator[None]:
    """Turns the operating system's and the object store's errors into StoreError, with the file's name."""
    try:
        yield
    except (FileNotFoundError, StoreError):
        raise
    except PermissionError as exc:
        raise StoreError("permission denied", where=name, do="Grant write access to the store, or name another in [store] url") from exc
    except (OSError, pa.ArrowException) as exc:
        refused = s3_actions.missing(str(exc))
        if refused is not None:
            raise StoreError("permission denied", where=name, do=f"Grant {refused} on the store's bucket") from exc
        raise StoreError(f"{exc.strerror if getattr(exc, 'strerror', None) else exc}", where=name, do="Nothing stored was changed") from exc
