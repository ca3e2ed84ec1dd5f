"""A run that is open: its folder, what it keeps on the way, and what a person is told at its end.

with open_run("shift_sweep", options, models=models, image_sets=sets) as run:
(checkpoint,) = run.load(options.model, models)
...
return run.publish(page, lines, faults)
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import pyarrow as pa
from flax import nnx
from tqdm import tqdm

from jclip.checkpoints import Checkpoint, CheckpointDescription
from jclip.data.file_names import require_unicode
from jclip.data.image_sets import ImageSet
from jclip.data.pipeline import Batch, Failure
from jclip.data.supplied import Probed, unknown_settings
from jclip.distributed import is_lead, local_mesh, replicate, wait_for_all
from jclip.errors import InputError, RunStopped
from jclip.files.json_files import read_json
from jclip.files.tables import read_table, write_table
from jclip.report.faults import FaultChoice, text_choice
from jclip.report.page import Page, write_figures, write_page
from jclip.report.provenance import with_provenance
from jclip.runs.command import DONE, DONE_WITH_FAILURES
from jclip.runs.last_resort import ending
from jclip.runs.lock import sole_writer
from jclip.runs.models import load_models
from jclip.runs.options import ModelOptions
from jclip.runs.parts import exchange, read_parts, write_part
from jclip.runs.processes import task_notices
from jclip.runs.record import (
    RECORD,
    close_record,
    confirm,
    default_folder,
    identity_of,
    now,
    open_record,
    require_run_folder,
)


@contextlib.contextmanager
def open_run(
    experiment: str,
    options: Any,
    *,
    models: Sequence[Probed] = (),
    image_sets: Sequence[ImageSet] = (),
    out: Path | None = None,
    **facts: Any,
) -> Iterator["Run"]:
    """Open the folder of a run, or go on in it; nothing expensive is computed before.

    A run is known by the fields of its options that are not marked `Silent`, the names and
    activations of its models, the captions and digests of its image sets, and further facts. Its
    folder is `runs/EXPERIMENT-HASH` by default.

    Raises:
        InputError: see `sole_writer` and `open_record`; or an error inside, before anything was
            computed.
        RunStopped: an error of a disk inside, bad input after something was computed, memory that
            is exhausted, or an error that nobody foresaw, whose trace is written into the folder.
    """
    identity: dict[str, Any] = identity_of(options)
    if models:
        identity["models"] = {m.identity.name: m.identity.activation for m in models}
    if image_sets:
        identity["image_sets"] = {opened.name: opened.identity for opened in image_sets}
    identity |= unknown_settings(models) | facts
    folder = out or default_folder(experiment, identity)
    # No Parquet file could be written there.
    require_unicode(folder)
    if is_lead():
        require_run_folder(folder)
    with sole_writer(folder) if is_lead() else contextlib.nullcontext():
        open_record(folder, experiment, identity)
        run = Run(folder)
        run.note(*task_notices(), *(n for opened in image_sets for n in opened.notices))
        if is_lead():
            # Now, as a wrong pairing of captions should end a run early.
            print("".join(f"note: {notice}\n" for notice in run.notices), end="", flush=True)
        try:
            yield run
        except Exception as error:
            end = ending(error, options, folder)
            if run.computed and isinstance(end, InputError):
                end = RunStopped(f"{end}; what was computed is kept in {folder}")
            if end is error:
                raise
            raise end from error


@dataclasses.dataclass
class Run:
    """An open run.

    `notices` are what a reader of the numbers should know, each once, `failures` images that could
    not be decoded, by the name of their stream; `computed` is whether something was computed that a
    restart would find, `text_choices` how texts are cleaned, where checkpoints have a choice.
    `keep` writes what it has after `seconds_between_parts`.
    """

    seconds_between_parts: ClassVar[float] = 20
    folder: Path
    notices: list[str] = dataclasses.field(default_factory=list)
    failures: dict[str, list[Failure]] = dataclasses.field(default_factory=dict)
    computed: bool = False
    text_choices: list[FaultChoice] = dataclasses.field(default_factory=list)

    def note(self, *notices: str) -> None:
        """Add notices that are not there yet."""
        self.notices += [notice for notice in dict.fromkeys(notices) if notice not in self.notices]

    def confirm(self, fact: str, value: Any) -> None:
        """Add to the identity what is known only now, such as digests of weights.

        Raises:
            InputError: an earlier run into this folder found another value.
        """
        confirm(self.folder, fact, value)

    def load(
        self, options: ModelOptions, models: Sequence[CheckpointDescription]
    ) -> list[Checkpoint]:
        """Load checkpoints onto every device of this process, with the adapter merged in.

        Raises:
            InputError: see `load_checkpoint` and `load_adapter`; or an earlier run into this folder
                used other weights.
        """
        checkpoints = []
        for checkpoint in load_models(options, models):
            identity = checkpoint.identity
            self.confirm(f"weights of {identity.name}", identity.sha256)
            nnx.update(checkpoint.clip, replicate(local_mesh(), nnx.state(checkpoint.clip)))
            self.note(*(f"{identity.name}: {notice}" for notice in identity.notices))
            described = checkpoint.description
            choice = text_choice(identity.name, described.text_format, described.text_cleaning)
            self.text_choices += [] if choice is None else [choice]
            checkpoints.append(checkpoint)
        return checkpoints

    def earlier(self, name: str) -> list[pa.Table]:
        """What earlier runs into this folder computed: the finished table `name`, then all parts.

        Raises:
            InputError: one of them is damaged.
        """
        finished = self.folder / f"{name}.parquet"
        tables = [read_table(finished)] if finished.exists() else []
        tables += read_parts(self.folder)
        wait_for_all("earlier parts are read")
        self.computed |= bool(tables)
        return tables

    def keep[Computed](
        self,
        stream: Iterable[tuple[Batch, Computed | None]],
        store: Callable[[Batch, Computed], None],
        part: Callable[[list[int]], pa.Table],
        *,
        name: str,
        total: int,
        done: int,
        unit: str = "images",
    ) -> None:
        """Run a stream of batches to its end, keeping a part now and then, whatever happens.

        Args:
            stream: batches of images with what was computed from them, None for empty batches.
            store: takes each batch's results in.
            part: the rows to keep for some images, by index, once they are stored.
            name: of the set of images, for the progress bar and `failures`.
            total: number of images that this process has to do or that are done.
            done: how many earlier runs have done.
            unit: what is counted.

        Raises:
            RunStopped: an image or a disk failed; what was computed is kept.
        """
        failures = self.failures.setdefault(name, [])
        unsaved, kept, saved_at = [], done, time.monotonic()

        def save() -> None:
            write_part(self.folder, part(unsaved))
            unsaved.clear()

        bar = tqdm(
            total=total,
            initial=done,
            desc=name,
            unit=f" {unit}",
            smoothing=0.1,
            disable=not is_lead(),
        )
        with bar:
            try:
                for batch, computed in stream:
                    if computed is not None:
                        store(batch, computed)
                    self.computed = True
                    failures += batch.failures
                    unsaved += batch.indices
                    kept += len(batch.indices)
                    bar.update(len(batch.indices) + len(batch.failures))
                    if time.monotonic() - saved_at > self.seconds_between_parts:
                        save()
                        saved_at = time.monotonic()
            except (InputError, OSError) as error:
                counted = f"{unit} of {name}" if unit != name else name
                progress = f"{kept} of {total} {counted} are kept in {self.folder}"
                raise RunStopped(f"{error}; {progress}") from error
            finally:
                if unsaved:
                    save()

    def joined(self) -> list[pa.Table] | None:
        """The parts of the other processes, once all are here; None but for process 0.

        The failures of all processes are joined, too.
        """
        if jax.process_count() == 1:
            return []
        own = {name: list(map(dataclasses.asdict, some)) for name, some in self.failures.items()}
        every = exchange(self.folder, "failures", own)
        for name, failures in self.failures.items():
            failures[:] = [Failure(**one) for some in every for one in some[name]]
            failures.sort(key=lambda failure: failure.index)
        if not is_lead():
            return None
        return read_parts(self.folder, of_others=True)

    def write(self, name: str, table: pa.Table) -> None:
        """Write a table as `NAME.parquet` and, up to 100,000 rows, `NAME.csv`."""
        write_table(self.folder, name, table)

    def publish(
        self,
        page: Page | None,
        lines: Sequence[str],
        faults: Sequence[FaultChoice] = (),
        **outcome: Any,
    ) -> int:
        """Write page and record, and print the result; returns the exit status.

        Args:
            page: of this experiment; notices, faults and settings are added to it. None: no page.
            lines: the result in a few lines of text.
            faults: the choices between `reference` and `corrected` that the run made.
            outcome: numbers for `run.json`.
        """
        failures = self._write_failures()
        faults = [*faults, *self.text_choices]
        finished = {
            **read_json(self.folder / RECORD),
            "status": "done",
            "finished": now(),
            "notices": self.notices,
            "faults": [dataclasses.asdict(fault) for fault in faults],
            "failures": failures,
            **outcome,
        }
        if page is not None:
            page = with_provenance(page, self.notices, faults, finished)
            write_page(self.folder / "report.html", page)
            write_figures(self.folder / "figures", page)
        close_record(self.folder, finished)
        for line in (*lines, *(f"note: {notice}" for notice in self.notices)):
            print(line)
        print(f"results: {self.folder}" if page is None else f"report: {self.folder}/report.html")
        return DONE_WITH_FAILURES if failures else DONE

    def _write_failures(self) -> int:
        rows = [
            {"image_set": name, "image": failure.name, "reason": failure.reason}
            for name, failures in self.failures.items()
            for failure in failures
        ]
        if rows:
            write_table(self.folder, "failures", pa.Table.from_pylist(rows))
            self.note(
                f"{len(rows)} images could not be decoded and are left out with all that belongs "
                "to them: failures.csv."
            )
        return len(rows)
