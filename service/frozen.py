"""A declared feature with `encoder: onnx`: from its settings to the frozen network that reads it."""

import importlib.util
from pathlib import Path

from nnstream.errors import NnstreamError
from nnstream.frozen import EmbeddedSpec, ImageInput, Input, OnnxBase, TextInput, TokenInput, VectorInput, embedded
from nnstream.frozen.detect import Declared, declared
from service.errors import SettingsError
from service.settings import OnnxSettings

_PACKAGE = "package://"


def embedded_feature(name: str, settings: OnnxSettings) -> EmbeddedSpec:
    """Return the spec of a feature that a frozen network reads.

    Args:
        name: of the feature, for the message.
        settings: of the feature.

    Raises:
        SettingsError: the model cannot be used as it is declared.
    """
    where = f"model.features.{name}"
    try:
        path = located(where, settings.model)
        reader = _reader(where, declared(path), settings)
        by_token = isinstance(reader, TokenInput)
        pool = settings.pool or ("mean" if by_token else "none")
        return embedded(OnnxBase(path, reader, settings.output, settings.sha256, pool))
    except NnstreamError as error:
        raise SettingsError(f"{where}: {error}") from error


def located(where: str, place: str) -> Path:
    """Return the path of a file that is given as a path or as package://NAME/PATH; raises SettingsError."""
    if not place.startswith(_PACKAGE):
        return Path(place)
    package, _, inside = place.removeprefix(_PACKAGE).partition("/")
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations or not inside:
        raise SettingsError(
            f"{where}: {place} names no file of an installed package; install {package or 'one'}, or give a path"
        )
    return Path(next(iter(found.submodule_search_locations))) / inside


def _reader(where: str, found: Declared, settings: OnnxSettings) -> Input:
    if found.reads == "text":
        return TextInput()
    if found.reads == "tokens":
        if settings.tokenizer is None:
            raise SettingsError(
                f"{where}: {settings.model} reads tokens; give the tokenizer.json it was trained with"
            )
        return TokenInput(located(where, settings.tokenizer), settings.max_tokens)
    if found.reads == "vector":
        if found.size is None:
            raise SettingsError(f"{where}: {settings.model} does not say how many numbers it reads; it must")
        return VectorInput(found.size)
    height, width = found.height or settings.height, found.width or settings.width
    if height is None or width is None:
        raise SettingsError(f"{where}: {settings.model} reads images of any size; give height and width")
    if settings.height not in (None, height) or settings.width not in (None, width):
        raise SettingsError(
            f"{where}: {settings.model} reads images of {height} x {width}; leave height and width out"
        )
    return ImageInput(
        height, width, settings.mean, settings.std, found.channels_first, settings.max_bytes, settings.max_pixels
    )
