"""Compiled programs are kept between runs, in a folder that nobody else can write to.

JAX runs what it finds there, so whoever writes to the folder runs code as its reader. Entries are
known by program, versions and kind of processor or accelerator: machines may share a home.
"""

import os
import stat
from pathlib import Path

import jax

# A lookup is cheap, and half a second of compiling is worth it; JAX's own default is a second.
_LEAST_SECONDS = 0.5


def use_compilation_cache() -> str | None:
    """Have JAX keep compiled programs in `$XDG_CACHE_HOME/jclip/xla`, by default in `~/.cache`.

    Where `JAX_COMPILATION_CACHE_DIR` is set it is left as it is; set but empty, nothing is kept.

    Returns:
        A sentence that says why nothing is kept, if the folder cannot be trusted or made.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    try:
        # As the XDG base directory specification has it, which ignores relative paths.
        named = Path(os.environ.get("XDG_CACHE_HOME", ""))
        home = named if named.is_absolute() else Path.home() / ".cache"
        folder = _private_folder(home / "jclip" / "xla")
    except (OSError, RuntimeError) as error:
        return f"compiled programs are not kept between runs: {error}"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    return None


def _private_folder(folder: Path) -> Path:
    """Make the folder and the one above it, for this user alone.

    Raises:
        PermissionError: one of them exists and others may enter it or own it.
    """
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for level in (folder.parent, folder):
        level.mkdir(mode=0o700, exist_ok=True)
        found = level.stat()
        if found.st_uid != os.getuid():
            raise PermissionError(f"{level} belongs to another user")
        if found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise PermissionError(f"{level} is open to others (mode {mode:o}); chmod 700 it")
    return folder
