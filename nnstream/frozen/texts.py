"""Texts as events carry them: as they are, or as the tokens that a sentence encoder was trained on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnstream.errors import FeatureError, SpecError

_ROLES = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class TextInput:
    """A text, for a network whose one input is a tensor of strings: it cuts the text up itself.

    Args:
        max_characters: a longer text is refused.
    """

    max_characters: int = 100_000

    @property
    def example(self) -> str:
        """Return a text."""
        return "a"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides how a value is read."""
        return {"reads": "text"}

    def read(self, where: str, value: Any) -> NDArray[Any]:
        """Return the text as one string, of shape (1,)."""
        return np.array([_text(where, value, self.max_characters)], object)


@dataclass(frozen=True)
class TokenInput:
    """A text as token numbers, for a network with the inputs input_ids, attention_mask and token_type_ids.

    Args:
        tokenizer: path of a tokenizer.json, as Hugging Face's `tokenizers` writes it.
        max_tokens: the rest of a longer text is left out.
        max_characters: a longer text is refused.
    """

    tokenizer: Path
    max_tokens: int = 128
    max_characters: int = 100_000
    _loaded: tuple[Any, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_loaded", _tokenizer(self.tokenizer, self.max_tokens))

    @property
    def example(self) -> str:
        """Return a text."""
        return "a"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides how a value is read."""
        return {"reads": "tokens", "tokenizer_sha256": self._loaded[1], "max_tokens": self.max_tokens}

    def read(self, where: str, value: Any) -> Mapping[str, NDArray[np.int64]]:
        """Return int64 (tokens,) for each input."""
        found = self._loaded[0].encode(_text(where, value, self.max_characters))
        arrays = (np.array(each, np.int64) for each in (found.ids, found.attention_mask, found.type_ids))
        return dict(zip(_ROLES, arrays, strict=True))


def _text(where: str, value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise FeatureError(f"features.{where}: expected a text, got {type(value).__name__}")
    if len(value) > longest:
        raise FeatureError(f"features.{where}: the text has {len(value)} characters, more than {longest}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FeatureError(f"features.{where}: half a surrogate pair is no character") from None
    return value


def _tokenizer(path: Path, max_tokens: int) -> tuple[Any, str]:
    """Return the tokenizer of a file, and the file's SHA-256."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415  # an extra: the library works without it
    except ImportError:
        raise SpecError("tokens need the package tokenizers: pip install 'nnstream[onnx]'") from None
    try:
        data = path.read_bytes()
        tokenizer = Tokenizer.from_buffer(data)
    except OSError as problem:
        raise SpecError(f"the tokenizer {path} cannot be read: {problem.strerror}") from None
    except Exception as problem:  # noqa: BLE001  # its errors are bare Exceptions
        raise SpecError(f"the tokenizer {path} is no tokenizer.json: {problem}") from None
    tokenizer.enable_truncation(max_length=max_tokens)
    tokenizer.no_padding()
    return tokenizer, hashlib.sha256(data).hexdigest()
