"""What the system refuses, as one line that names the place and the remedy."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from talksplat.errors import UserError


def write_error(error: OSError, path: Path | None = None) -> UserError:
    """What the system refused, with what helps; of a full disk, the one that is full, and what is free there.

    Args:
        path: what was being written; None: what the error names.
    """
    full_disk = error.errno in (errno.ENOSPC, errno.EDQUOT)
    named = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if isinstance(name, (str, bytes))]
    place = named[0] if named else None
    if path is not None and (full_disk or place is None or place.parent == path.parent):
        place = path  # rather than a temporary file
    remedy = "choose another place, or mend its permissions"
    if full_disk:
        others = [Path.cwd(), Path(tempfile.gettempdir()), Path(os.path.expanduser("~"))]
        full = _full_place([*([path] if path else []), *named, *others])
        quota = "your quota there is used up: " if error.errno == errno.EDQUOT else ""
        free = f"{_mount_of(full)} has {shutil.disk_usage(full).free / 2**20:.0f} MiB free"
        remedy = f"{quota}{free}: free some space there, or choose another place"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        remedy = "allow more open files (ulimit -n 4096)"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        remedy = "give another path"
    reason = (error.strerror or str(error)).strip()
    verb = "cannot write" if full_disk or path is not None else "cannot use"
    return UserError(f"{verb} {place} ({reason}): {remedy}" if place else f"{reason}: {remedy}")


def _full_place(places: list[Path]) -> Path:
    """The first of some places on a full disk; the first of all, if none is."""
    there = [next(folder for folder in (place, *place.absolute().parents) if folder.is_dir()) for place in places]
    return next((folder for folder in there if shutil.disk_usage(folder).free < 2**20), there[0])


def _mount_of(folder: Path) -> Path:
    return next(place for place in (folder.resolve(), *folder.resolve().parents) if place.is_mount())


def missing_library(error: Exception) -> UserError | None:
    """What to install where a library of the system is missing that a package needs; None for other errors."""
    if "cannot open shared object file" not in str(error):
        return None
    opencv = "libgl1 libxcb1 libglib2.0-0, or pip install --force-reinstall --no-deps opencv-contrib-python-headless"
    packages = "libegl1 libgles2" if "EGL" in str(error) or "GLES" in str(error) else opencv
    return UserError(f"a library of the system is missing ({error}): apt-get install {packages}")
