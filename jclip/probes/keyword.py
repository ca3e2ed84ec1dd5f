"""Probe A of paper 1: the score of an image with and without a word that names its format."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.data.image_sets import ImageSet
from jclip.errors import InputError
from jclip.images.fits import FitOption, SeenFit
from jclip.probes.probe import CaptionProbe
from jclip.probes.scores import Scores
from jclip.text.prompts import content_of, make_prompts


@dataclasses.dataclass(kw_only=True)
class KeywordScores(Scores):
    """Scores of N images of one set with V identifiers and U generic words before their content.

    Attributes:
        control: marks a set of perspective photos, of which an identifier is not true.
        contents: `[N]`, the captions without a format word.
        identifiers: `[V]`, words that name the format; `columns` are these and then the generics.
        generics: `[U]`, words that do not.
    """

    control: bool
    contents: tuple[str, ...]
    identifiers: tuple[str, ...]
    generics: tuple[str, ...]

    @property
    def identifier_scores(self) -> Float[np.ndarray, "n v"]:
        """Scores with each identifier, `[N, V]`."""
        return self.values[:, : len(self.identifiers)]

    @property
    def generic_scores(self) -> Float[np.ndarray, "n u"]:
        """Scores with each generic word, `[N, U]`."""
        return self.values[:, len(self.identifiers) :]

    @property
    def named(self) -> dict[str, str | bool]:
        """What every row of a table says of this result, by column."""
        image_set, model, fit = self.label
        return {"image_set": image_set, "control": self.control, "model": model, "fit": fit}

    @property
    def _kinds(self) -> list[str]:
        return ["identifier"] * len(self.identifiers) + ["generic"] * len(self.generics)

    def _per_image(self) -> tuple[str, ...]:
        return ("images", "contents")

    def to_table(self) -> pa.Table:
        """One row per image and format word.

        Columns image_set, control, model, fit, image, content, kind (identifier or generic), words,
        score; and probability, where the model has a sigmoid.
        """
        own = {
            "content": self._repeated(self.contents, len(self.columns)),
            "kind": self._tiled(self._kinds),
            "words": self._tiled(self.columns),
        }
        return self._table(own, self.values)

    def fill(self, table: pa.Table) -> None:
        """Take in what `to_table` wrote of some images, by their names."""
        words = zip(self._kinds, self.columns, strict=True)
        at = {word: column for column, word in enumerate(words)}
        own = zip(table["kind"].to_pylist(), table["words"].to_pylist(), strict=True)
        columns = [at[word] for word in own]
        self.values[self._rows_of(table), columns] = table["score"].to_numpy()


class KeywordProbe(CaptionProbe[KeywordScores]):
    """Every image, not shifted, against its content behind every format word.

    Args:
        contents: the captions of every set without a format word, by the set's name.
        identifiers: words that name the format.
        generics: words that do not.
        fits: how an image becomes a square.
        controls: names of the sets of perspective photos.
        prompt_prefix: put before every format word.
        orbit: equal yaws over which the embedding of a panorama is averaged; 1 is none.
    """

    def __init__(
        self,
        contents: Mapping[str, Sequence[str]],
        identifiers: Sequence[str],
        generics: Sequence[str],
        *,
        fits: Sequence[FitOption],
        controls: Sequence[str] = (),
        prompt_prefix: str = "",
        orbit: int = 1,
    ):
        super().__init__((*identifiers, *generics), fits, prompt_prefix, orbit)
        self._contents, self._controls = contents, controls
        self._identifiers, self._generics = tuple(identifiers), tuple(generics)

    @property
    def views(self) -> int:
        """How many views of an image are embedded: only the columns' words differ."""
        return self.orbit

    def empty(self, opened: ImageSet, model: str, fit: SeenFit) -> KeywordScores:
        """One result still to be filled."""
        return KeywordScores.empty(
            opened,
            model,
            fit,
            self.columns,
            control=opened.name in self._controls,
            contents=tuple(self._contents[opened.name]),
            identifiers=self._identifiers,
            generics=self._generics,
        )

    def prompts(self, opened: ImageSet) -> list[list[str]]:
        """One prompt for each image and format word, identifiers first."""
        return make_prompts(self._contents[opened.name], self.columns, self.prompt_prefix)


def check_words(words: Sequence[str]) -> None:
    """Refuse format words that could not be told apart.

    Raises:
        InputError: one is there twice, or blank.
    """
    if repeated := [word for word in words if words.count(word) > 1]:
        raise InputError(f"format word {repeated[0]}: given twice")
    if blank := [word for word in words if not word.strip()]:
        raise InputError(f"format word {blank[0]!r}: empty")


def contents_of(opened: ImageSet, words: Sequence[str]) -> list[str]:
    """What the captions of a set say without the format words that they begin with, if any may.

    Raises:
        InputError: there are such words, and a caption begins with none of them.
    """
    if not words:
        return list(opened.captions)
    found = []
    for row, caption in enumerate(opened.captions):
        if (content := content_of(caption, words)) is None:
            where = f"{opened.name}: {opened.caption_file}, line {opened.lines[row]}"
            raise InputError(
                f"{where}: {caption!r} begins with none of the format words {', '.join(words)}"
            )
        found.append(content)
    return found
