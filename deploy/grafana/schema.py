"""Panels and dashboards as small Python values, and the JSON that Grafana reads of them (schema version 39)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_WIDTH = 24  # of Grafana's grid
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


Queries = Mapping[str, str]
"""PromQL expressions, which may use Grafana's variables, by the legend of their series."""


@dataclass(frozen=True)
class Panel:
    """A panel; its place follows from the order and the widths.

    Attributes:
        title: of the panel.
        queries: what it shows.
        kind: how it shows it.
        unit: of the values, as Grafana names it.
        about: what to look for; stands behind the small i.
        width: of 24 columns.
        height: in rows.
        stack: series lie on each other.
        steps: thresholds as (from, colour), the first from None.
        low: of the axis.
        high: of the axis.
    """

    title: str
    queries: Queries
    kind: Literal["timeseries", "stat", "bargauge", "table"] = "timeseries"
    unit: str = "short"
    about: str = ""
    width: int = 8
    height: int = 8
    stack: bool = False
    steps: tuple[tuple[float | None, str], ...] = ((None, "text"),)
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Variable:
    """A choice at the head of a dashboard: the values of a label."""

    name: str
    query: str
    many: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A page of panels, in rows that have a title."""

    uid: str
    title: str
    about: str
    rows: dict[str, tuple[Panel, ...]]
    variables: tuple[Variable, ...] = ()
    annotations: Queries = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return what Grafana reads."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["nnstream"],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "timepicker": {},
            "links": [_link()],
            "templating": {"list": [_datasource(), *(_variable(each) for each in self.variables)]},
            "annotations": {"list": [_annotation(name, expr) for name, expr in self.annotations.items()]},
            "panels": _panels(self.rows),
        }


def _link() -> dict[str, Any]:
    return {"title": "nnstream", "type": "dashboards", "tags": ["nnstream"], "asDropdown": False,
            "includeVars": True, "keepTime": True, "targetBlank": False}  # fmt: skip


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "sort": 3,
        "includeAll": variable.many,
        "multi": variable.many,
        "allValue": ".*" if variable.many else None,
        "current": {"text": "All", "value": "$__all"} if variable.many else {},
    }


def _annotation(name: str, expr: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": _SOURCE,
        "enable": True,
        "expr": expr,
        "titleFormat": "drift: {{signal}}",
        "iconColor": "red",
        "step": "10s",
        "useValueForTime": False,
    }


def _panels(rows: dict[str, tuple[Panel, ...]]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    top = 0
    for title, panels in rows.items():
        out.append({"id": len(out) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                    "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1}})  # fmt: skip
        top += 1
        x = tallest = 0
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, top, tallest = 0, top + tallest, 0
            place = {"x": x, "y": top, "w": panel.width, "h": panel.height}
            out.append({"id": len(out) + 1, "gridPos": place, **_panel(panel)})
            x, tallest = x + panel.width, max(tallest, panel.height)
        top += tallest
    return out


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "targets": [_target(panel, i, legend) for i, legend in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(panel: Panel, number: int, legend: str) -> dict[str, Any]:
    table = panel.kind == "table"
    return {
        "refId": "ABCDEFGH"[number],
        "datasource": _SOURCE,
        "expr": panel.queries[legend],
        "legendFormat": legend,
        "instant": table,
        "range": not table,
        "format": "table" if table else "time_series",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"value": value, "color": color} for value, color in panel.steps]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "min": panel.low,
        "max": panel.high,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
    }
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 0 if panel.stack else 2,
            "fillOpacity": 70 if panel.stack else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stack else "none", "group": "A"},
        }
    return {key: value for key, value in defaults.items() if value is not None}


def _options(panel: Panel) -> dict[str, Any]:
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.kind:
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "stat":
            return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
        case "bargauge":
            return {"reduceOptions": reduce, "orientation": "horizontal", "displayMode": "gradient"}
        case _:
            return {"showHeader": True}


def stat(title: str, expr: str, unit: str = "short", **options: Any) -> Panel:
    """Return a small panel with one number."""
    return Panel(title, {title: expr}, "stat", unit, **({"width": 4, "height": 4} | options))
