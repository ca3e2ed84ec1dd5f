"""What a long run has computed is kept on the way, so that a killed run goes on."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from jclip.data.pipeline import Batch, Failure
from jclip.distributed import is_lead
from jclip.errors import InputError, RunStopped
from jclip.runs.folder import write_part

SECONDS_BETWEEN_PARTS = 20


def keep_parts[Computed](
    folder: Path,
    stream: Iterable[tuple[Batch, Computed]],
    store: Callable[[Batch, Computed], None],
    table: Callable[[list[int]], pa.Table],
    *,
    total: int,
    done: int,
    name: str,
) -> list[Failure]:
    """Run a stream of batches to its end, writing a part every 20 seconds and whatever happens.

    Args:
        folder: of the run, from `open_run`.
        stream: batches of images with what was computed from them.
        store: takes each batch's results in.
        table: the rows to keep for some images, by index, once they are stored.
        total: number of images that this process has to do or that are done.
        done: how many earlier runs have done.
        name: of the set of images, for the progress bar.

    Returns:
        The images that could not be decoded.

    Raises:
        RunStopped: an image or a disk failed; what was computed is kept.
    """
    failures, unsaved, saved_at = [], [], time.monotonic()
    kept = done

    def save() -> None:
        write_part(folder, table(unsaved))
        unsaved.clear()

    with tqdm(
        total=total,
        initial=done,
        desc=name,
        unit=" images",
        smoothing=0.1,
        disable=not is_lead(),
    ) as bar:
        try:
            for batch, computed in stream:
                store(batch, computed)
                failures += batch.failures
                unsaved += batch.indices
                kept += len(batch.indices)
                bar.update(len(batch.indices) + len(batch.failures))
                if time.monotonic() - saved_at > SECONDS_BETWEEN_PARTS:
                    save()
                    saved_at = time.monotonic()
        except (InputError, OSError) as error:
            progress = f"{kept} of {total} images of {name} are kept in {folder}"
            raise RunStopped(f"{error}; {progress}") from error
        finally:
            if unsaved:
                save()
    return failures
