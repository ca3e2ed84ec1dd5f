"""What is embedded once is embedded by models that can be told apart."""

import pytest

from jclip.checkpoints import describe_checkpoint
from jclip.errors import InputError
from jclip.runs.embed_once import fit_of_each


def test_a_fit_is_each_models_own():
    model = describe_checkpoint("demo")
    assert fit_of_each([model], "own") == {"demo": model.image_config.fit}
    assert fit_of_each([model], "squash") == {"demo": "squash"}


def test_two_models_of_one_name_are_refused():
    model = describe_checkpoint("demo")
    with pytest.raises(InputError, match="model demo: given twice"):
        fit_of_each([model, model], "own")
