"""Folder of a backup, on any file system that fsspec knows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

import fsspec
from fsspec.spec import AbstractFileSystem
from fsspec.utils import get_protocol

from talksplat.errors import UserError

CHUNK = 2**22  # bytes
LOCAL = ("file", "local")


def check_target(target: str, run_dir: Path) -> None:
    """Check what can be checked without a connection. Raises UserError: an unknown protocol, a package that is missing,
    a password in it, or a folder inside the run."""
    protocol = get_protocol(target)
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        raise UserError(
            f"backup.target={target}: there is no protocol {protocol}://; give a folder, s3://, gs://, ssh:// or another of fsspec"
        ) from error
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or protocol
        raise UserError(f"backup.target={target}: {error}: pip install {package.partition('.')[0]}") from error
    if urlsplit(target).password is not None:
        raise UserError(
            "backup.target holds a password, which would be kept in config.yaml: leave it out and give it to fsspec, e.g. "
            f"by the environment variable FSSPEC_{protocol.upper()}_PASSWORD"
        )
    if protocol in LOCAL:
        folder, run = _local(target), run_dir.resolve()
        if folder == run or run in folder.parents or folder / run.name == run:
            raise UserError(f"backup.target={target} is where the run itself is ({run}): give a folder on another disk")


def _local(target: str) -> Path:
    return Path(target.removeprefix("file://").removeprefix("local://")).expanduser().resolve()


class BackupTarget:
    """The folder of one run below a target; any call may fail, with the errors of its file system.

    Args:
        target: as in `backup.target`.
        run_dir: the run folder; it has `run_info.json`, which tells whose folder at the target is.
    """

    def __init__(self, target: str, run_dir: Path) -> None:
        if get_protocol(target) in LOCAL:
            target = str(_local(target))
            if not Path(target).parent.is_dir():
                raise FileNotFoundError(f"there is no folder {Path(target).parent}: is it mounted?")
        self.fs, root = fsspec.core.url_to_fs(target)
        self.fs.invalidate_cache()  # a listing that it remembers would hide what another run has put there
        self.path = self._own_folder(PurePosixPath(root), run_dir)

    def _own_folder(self, root: PurePosixPath, run_dir: Path) -> str:
        """`root/NAME`, or `root/NAME_2` ... where another run's backup has that name: none is ever overwritten."""
        ours = _identity((run_dir / "run_info.json").read_bytes())
        for number in range(1, 1000):
            folder = root / (run_dir.resolve().name + (f"_{number}" if number > 1 else ""))
            info = str(folder / "run_info.json")
            if self.fs.exists(info):
                if _identity(self.fs.cat_file(info)) == ours:
                    return str(folder)
            elif not self.fs.exists(str(folder)):
                return str(folder)
        raise FileExistsError(f"{root} has a thousand backups of runs called {run_dir.name}")

    def put(self, file: BinaryIO, name: str) -> None:
        """Copy a file to `name` below the run's folder; what is there is replaced only by the whole of it."""

        def write(path: str) -> None:
            with self.fs.open(path, "wb") as there:
                shutil.copyfileobj(file, there, CHUNK)

        self._write(name, write)

    def repeat(self, source: str, name: str) -> None:
        """Make `name` a copy of what is at `source` already, without sending it again. Raises NotImplementedError: this
        file system cannot."""
        self._write(name, lambda path: self.fs.cp_file(f"{self.path}/{source}", path))

    def _write(self, name: str, write: Callable[[str], None]) -> None:
        path = f"{self.path}/{name}"
        if type(self.fs).mv is AbstractFileSystem.mv:
            # Moving is copying, as in object stores: a file appears when it is whole, there are no folders, and making one
            # would make a bucket of a misspelt name.
            write(path)
            return
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        part = f"{path}.part"
        try:
            write(part)
            self.fs.mv(part, path)
        except BaseException:
            with suppress(Exception):
                self.fs.rm_file(part)
            raise


def _identity(info: bytes) -> tuple:
    """What stays the same over resumptions of a run, also in another folder."""
    data = json.loads(info)
    return data.get("started"), data.get("seed")
