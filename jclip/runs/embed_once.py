"""Pictures and texts of a run embedded once by each model, kept part by part and when done."""

from collections.abc import Sequence

import numpy as np

from jclip.checkpoints import Checkpoint
from jclip.data.embedded import EMBEDDED, Embedded, embedded_file, read_embedded, write_embedded
from jclip.data.images import ImageFile
from jclip.data.supplied import Probed, Supplied
from jclip.errors import InputError
from jclip.images.fits import OWN, FitOption, SeenFit, seen_fits
from jclip.runs.base import base_of
from jclip.runs.embedded import EmbeddingsByKind, fill_embeddings, keep_squares, keep_texts
from jclip.runs.run import Run


def embed_once(
    run: Run,
    checkpoint: Checkpoint,
    squares: Sequence[ImageFile],
    texts: Sequence[str],
    fit: SeenFit,
    images_per_step: int,
    *,
    name: str | None = None,
    precision: str = "float32",
) -> Embedded:
    """Embed distinct squares and texts by a model, resumed and kept part by part.

    Args:
        run: into whose folder parts go, and at the end the file of `write_embedded`.
        checkpoint: the model.
        squares: pictures as the tower takes them.
        texts: distinct.
        fit: how they became squares.
        images_per_step: squares at a time.
        name: of the model, its own by default.
        precision: of its products, for the record.

    Raises:
        RunStopped: a picture or a disk failed; what was computed is kept.
    """
    name = name or checkpoint.identity.name
    if embedded_file(run.folder, name).exists():
        run.computed = True
        return read_embedded(embedded_file(run.folder, name))
    width = checkpoint.clip.config.embedding_width
    pictures, prompts = f"{name}, pictures", f"{name}, texts"
    found: EmbeddingsByKind = {
        pictures: np.full((len(squares), width), np.nan, np.float32),
        prompts: np.full((len(texts), width), np.nan, np.float32),
    }
    # The parts of other models are in the folder too.
    earlier = [part for part in run.earlier(EMBEDDED) if part["kind"][0].as_py() in found]
    fill_embeddings(found, earlier)
    keep_squares(run, found, pictures, checkpoint, squares, images_per_step, unit="pictures")
    notices = keep_texts(run, found, prompts, checkpoint, texts, unit="texts")
    run.note(*(f"{name}: {notice}" for notice in notices))
    base = base_of(checkpoint, fit, precision)
    embedded = Embedded(name, found[pictures], found[prompts], base)
    write_embedded(run.folder, embedded)
    return embedded


def fit_of_each(models: Sequence[Probed], option: FitOption) -> dict[str, SeenFit]:
    """What a fit means for each model, by its name; that of a supplied one is not known.

    Raises:
        InputError: two models have one name, or a fit is chosen and all are supplied.
    """
    if option != OWN and all(isinstance(model, Supplied) for model in models):
        raise InputError("fit: how images are fitted is the supplied embeddings' own", "fit")
    names = [model.identity.name for model in models]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"model {repeated[0]}: given twice")
    return {model.identity.name: seen_fits([option], model.image_config)[0] for model in models}
