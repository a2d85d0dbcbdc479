"""Writes the reference pages of docs/ from the code: settings, records and metrics. Run it after a change of them.

python scripts/make_docs.py
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from service import events
from service.settings import ENV_PREFIX, FeatureSettings, OnnxSettings, Settings
from service.telemetry import Telemetry

DOCS = Path(__file__).parents[1] / "docs"
MADE = "<!-- made by scripts/make_docs.py: change the code, then run it -->\n"
ABOUT = """`nnstream serve config.yaml` reads a YAML file, then the environment, which wins.
`nnstream serve --check config.yaml` says whether it can be used; `nnstream schema settings` prints its
JSON Schema. Lists and objects stand in the environment as JSON.
"""
EXAMPLES: dict[type[BaseModel], Any] = {
    events.Event: {
        "id": "e-1",
        "ts": 1700000000000,
        "features": {"amount": 12.5, "country": "NL", "known": True, "pixels": [0.1, None, 0.3], "age": None},
        "label": 1,
    },
    events.Prediction: {
        "id": "e-1",
        "ts": 1700000000000,
        "prediction": 1,
        "probabilities": {"0": 0.2, "1": 0.8},
        "model": {"name": "default", "version": 10233},
        "label": 1,
        "loss": 0.22,
        "source": {"topic": "events", "partition": 0, "offset": 10232},
        "prediction_set": [1],
        "confidence": 0.9,
        "explanation": {
            "method": "integrated_gradients",
            "label": 1,
            "output": 1.4,
            "baseline": -0.9,
            "contributions": {"amount": 1.9, "country": 0.4, "known": 0.1, "pixels": -0.1},
        },
    },
    events.DeadLetter: {
        "problem": "features",
        "reason": "features.amount: NaN and Infinity are no values; leave the feature out or send null",
        "source": {"topic": "events", "partition": 0, "offset": 10233},
        "ts": 1700000000000,
    },
    events.DriftAlert: {
        "model": "default",
        "signal": "loss",
        "detector": "adwin",
        "source": {"topic": "events", "partition": 0, "offset": 20011},
        "ts": 1700000000000,
        "before": 0.11,
        "after": 0.74,
        "distance": 1.0,
        "events": 160,
        "also": ["error", "features.amount"],
    },
}


def configuration() -> str:
    """Return docs/configuration.md."""
    parts = [
        MADE,
        "# Configuration\n",
        ABOUT,
    ]
    for name, field in Settings.model_fields.items():
        parts += _section(name, field.description or "", _model(field))
    parts += _section("model.features.<name>", "One declared feature.", FeatureSettings)
    about = " ".join((OnnxSettings.__doc__ or "").split()) + " See [transfer.md](transfer.md)."
    parts += _section("model.features.<name> with an encoder", about, OnnxSettings)
    return "\n".join(parts)


def _section(name: str, about: str, model: type[BaseModel]) -> list[str]:
    rows, nested = [], []
    for key, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            nested += _section(f"{name}.{key}", field.description or "", inner)
            continue
        variable = "" if "<" in name else f"`{ENV_PREFIX}{name.replace('.', '__')}__{key}`".upper()
        rows.append((f"`{key}`", variable, _type(field), _default(field), field.description or ""))
    return [f"## {name}\n", f"{about}\n", *_table(("setting", "environment", "type", "default", ""), rows), *nested]


def _model(field: FieldInfo) -> type[BaseModel]:
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return field.annotation
    raise TypeError(f"a section must be a model, not {field.annotation}")


def _type(field: FieldInfo) -> str:
    return _words(field.annotation).removesuffix(" or null") + (" or null" if _nullable(field.annotation) else "")


def _nullable(kind: Any) -> bool:
    return type(None) in get_args(kind)


def _words(kind: Any) -> str:
    names = {bool: "true/false", int: "whole number", float: "number", str: "text", SecretStr: "secret", Path: "path"}
    if kind in names:
        return names[kind]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "object"
    arguments = [each for each in get_args(kind) if each not in (type(None), Ellipsis)]
    if arguments and all(isinstance(each, str) for each in arguments):
        return " \\| ".join(f"`{each}`" for each in arguments)
    if getattr(kind, "__origin__", None) is tuple:
        return f"list of {_words(arguments[0])}"
    if getattr(kind, "__origin__", None) is dict:
        return "object"
    return _words(arguments[0]) if hasattr(kind, "__metadata__") else " or ".join(map(_words, arguments))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(default)}`"


FORMATS = """\
What comes in may have another format (`topics.format`), with the same names and types, and is refused for the same
reasons. What goes out is JSON; predictions may also be Avro or Protobuf (`topics.predictions_format`).

- `json`: a JSON object.
- `msgpack`: a MessagePack map; the quickest for named features.
- `f32`: a bare vector of float32, little-endian (`application/x-f32`): the feature `vector`. NaN is a missing value.
  Headers: `id` (UTF-8) and `label` (JSON). A late label is a JSON object; in the events topic it has the header
  `content-type: application/json`.
- `avro`, `protobuf`: with a schema registry, see [formats.md](formats.md).
"""


def records() -> str:
    """Return docs/records.md."""
    parts = [MADE, "# Records\n", f"{(events.__doc__ or '').strip()}\n", FORMATS]
    for model, example in EXAMPLES.items():
        about = "\n".join(line.strip() for line in (model.__doc__ or "").strip().splitlines())
        shown, schema = json.dumps(example, indent=2), json.dumps(model.model_json_schema(), indent=2)
        parts += [f"## {model.__name__}\n", f"{about}\n", f"```json\n{shown}\n```\n"]
        parts += ["<details><summary>JSON Schema</summary>\n", f"```json\n{schema}\n```\n", "</details>\n"]
    return "\n".join(parts)


def metrics() -> str:
    """Return docs/metrics.md."""
    rows = []
    for metric in vars(Telemetry("default")).values():
        if isinstance(metric, MetricWrapperBase):
            described = next(iter(metric.describe()))
            name = f"{described.name}_total" if described.type == "counter" else described.name
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001  # has no other name
            rows.append((f"`{name}`", described.type, labels, described.documentation))
    rows.append(("`nnstream_build_info`", "info", "`version`", "What is running."))
    return "\n".join([MADE, "# Metrics\n", "At `GET /metrics`, for Prometheus.\n",
                      *_table(("metric", "type", "labels", ""), rows)])  # fmt: skip


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [*(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines), ""]


PAGES = {"configuration.md": configuration, "records.md": records, "metrics.md": metrics}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
