"""What `export_views` wrote, embedded by any model."""

from pathlib import Path

from PIL import Image

from jclip.data.images import ImageFile
from jclip.data.supplied_files import EMBEDDINGS_FILE
from jclip.data.supplied_index import find_index, read_index
from jclip.data.view_plan import PLAN_FILE
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import write_tensors
from jclip.files.json_files import read_json
from jclip.scoring import Asked, settled


def _view(folder: Path, name: str) -> ImageFile:
    """A view that was exported; a box may be narrower than an image of a person's may."""
    path = folder / name
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to
        raise InputError(f"{path}: not an image that can be read ({error})") from None
    return ImageFile(name, path, height, width, digest="")


def embed_folder(model: Asked, folder: Path | str, out: Path | str | None = None) -> Path:
    """Embed what `export_views` wrote: `embeddings.safetensors` for `--embeddings`.

    Args:
        model: any object with `encode_image` (a list of RGB PIL images to `[N, D]`) and
            `encode_text` (a list of texts to `[M, D]`), and perhaps a `name`; or what `jclip.load`
            returns, whose own fit makes a view a square.
        folder: that was exported.
        out: where to write instead of into that folder: a folder in it, one for each model.

    Returns:
        The file.

    Raises:
        InputError: the folder was not exported, or the model cannot embed what is in it.

    Example:
        >>> jclip.embed_folder(my_encoder, "runs/views").name
        'embeddings.safetensors'
    """
    model = settled(model)
    folder, out = Path(folder), Path(folder if out is None else out)
    if not (folder / PLAN_FILE).is_file():
        raise InputError(f"{folder}: no {PLAN_FILE}; experiments.export_views writes it")
    plan, tables = read_json(folder / PLAN_FILE), {}
    for stem, column in (("images", "file"), ("texts", "text")):
        if (path := find_index([folder], stem)) is None:
            raise InputError(f"{folder}: no {stem}.csv; export the views again")
        tables[stem] = read_index([path]).texts_of(column)
    files = [_view(folder, name) for name in tables["images"]]
    tensors = {
        "image_embeds": model.embed_files(files, None),
        "text_embeds": model.embed_texts(tables["texts"]),
    }
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / EMBEDDINGS_FILE) as partial:
        metadata = {"model": model.name, "plan": str(plan.get("digest"))}
        write_tensors(partial, tensors, metadata=metadata)
    return out / EMBEDDINGS_FILE
