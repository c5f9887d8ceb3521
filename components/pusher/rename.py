"""A rename that replaces nothing: a plain one would replace an empty folder, or a file, that somebody else made."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from pathlib import Path
from typing import Any

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
# The C library, the kernel or the file system (NFS, some FUSE ones) does not know the flag.
_UNKNOWN = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or folder to a name that nothing has, in one atomic step.

    Where the system cannot refuse a taken name by itself, an empty folder that appears within microseconds before the
    rename is replaced; one with anything in it never is.

    Raises:
        FileExistsError: Something has the name.
        OSError: Any other failure of the rename.
    """
    problem = _without_replacing(source, target)
    if problem in _UNKNOWN:
        if os.path.lexists(target):
            problem = errno.EEXIST
        else:
            source.rename(target)
            return
    if problem:
        raise OSError(problem, os.strerror(problem), str(source), None, str(target))


def _without_replacing(source: Path, target: Path) -> int:
    """Rename by ``renameat2`` and return its error number, 0 for success."""
    function = _renameat2()
    if function is None:
        return errno.ENOSYS
    names = os.fsencode(source), os.fsencode(target)
    failed = function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE)
    return ctypes.get_errno() if failed else 0


@cache
def _renameat2() -> Any:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function
