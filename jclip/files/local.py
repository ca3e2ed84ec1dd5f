"""Paths of this machine, as against addresses of other places."""

import os
import re

from jclip.errors import InputError

# A path library makes one slash of two; a single letter is a drive.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def require_local(path: str | os.PathLike[str]) -> None:
    """Refuse `gs://bucket/run` and the like, which would become a folder called `gs:`.

    Raises:
        InputError: the path begins with `scheme://`, whatever the scheme.
    """
    written = os.fspath(path)
    if found := _ADDRESS.match(written):
        rest = written[found.end() :].lstrip("/")
        raise InputError(
            f"{found[1]}://{rest} is the address of another place; only local files and folders "
            "are read and written: copy or mount it"
        )
