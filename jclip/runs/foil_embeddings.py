"""The demo world's hard negatives, embedded by the demo model, for what is measured on them."""

from pathlib import Path

from jclip.data.embedded import write_foil_sets
from jclip.runs.embed_once import embed_once, fit_of_each
from jclip.runs.foils import FoilOptions
from jclip.runs.models import describe_models
from jclip.runs.options import ModelOptions, OutputOptions
from jclip.runs.run import open_run


def embed_demo_foils(folder: Path) -> None:
    """Make a run's folder that `read_unseen_foils` reads; one that was begun goes on.

    Raises:
        InputError: another run is in the folder.
        RunStopped: a disk failed; what was computed is kept.
    """
    options, model = FoilOptions(), ModelOptions()
    models = describe_models(model)
    fits, steps = fit_of_each(models, options.fit), OutputOptions().images_per_step()
    with open_run("foil_embeddings", options, models=models, out=folder, fits=fits) as run:
        foils = options.open(run.folder)
        assert foils is not None
        run.confirm("foils", dict(foils.digests))
        write_foil_sets(run.folder, options.winnable(run, foils))
        for checkpoint in run.load(model, models):
            fit, precision = fits[checkpoint.identity.name], model.dtype().name
            squares = foils.squares(checkpoint.image_config, fit)
            embed_once(run, checkpoint, squares, foils.texts, fit, steps, precision=precision)
        counts = {"pictures": len(foils.pictures), "texts": len(foils.texts)}
        run.publish(None, [", ".join(f"{n} {name}" for name, n in counts.items())], counts=counts)
