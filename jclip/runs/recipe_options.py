"""Options of a recipe: `--recipe NAME` picks its constants, and a flag per constant changes one."""

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import tyro

from jclip.runs.options import Flag, Numbers

# How what people type becomes a field; other types are read by tyro itself.
_READ_AS: dict[Any, Any] = {tuple[float, ...]: Numbers, bool: Flag}


def recipe_options(recipes: Mapping[Any, Any]) -> Any:
    """Marks, in `Annotated[Recipe, ...]`, a field that is read from `--recipe` and its own flags.

    Args:
        recipes: dataclasses of one kind by name, the default first. Help texts are those of the
            kind's docstring, with the constants of every recipe where they differ.
    """
    (default, first), *others = recipes.items()
    hints = typing.get_type_hints(type(first))
    kinds: dict[str, Any] = {"recipe": Literal[*recipes]}
    for field in dataclasses.fields(first):
        own = _written(getattr(first, field.name))
        values = [f"default: {own}"]
        for name, recipe in others:
            if (other := _written(getattr(recipe, field.name))) != own:
                values.append(f"with --recipe {name}: {other}")
        kind = _READ_AS.get(hints[field.name], hints[field.name])
        shown = tyro.conf.arg(help_behavior_hint=f"({'; '.join(values)})")
        kinds[field.name] = Annotated[kind | None, shown]
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default if name == "recipe" else None,
            annotation=kind,
        )
        for name, kind in kinds.items()
    ]

    def settle(recipe: str, **given: Any) -> Any:
        given = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(recipes[recipe], **given)

    # What checks types at run time wraps functions, and tyro reads what is inside.
    read: Any = inspect.unwrap(settle)
    read.__signature__ = inspect.Signature(parameters)
    read.__annotations__, read.__doc__ = kinds, type(first).__doc__
    return tyro.conf.arg(constructor=settle)


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
