"""Writes dashboards/*.json, which Grafana reads, from the definitions beside this file. Run it after changing them.

python deploy/grafana/make_dashboards.py [DIRECTORY]

A test runs every query of every panel against a real Prometheus that reads a real service.
"""

import json
import sys
from pathlib import Path

import fleet_dashboard
import model_dashboard
import service_dashboard

TARGET = Path(__file__).parent / "dashboards"

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    for module in (fleet_dashboard, model_dashboard, service_dashboard):
        text = json.dumps(module.DASHBOARD.json(), indent=2) + "\n"
        (target / f"{module.__name__.removesuffix('_dashboard')}.json").write_text(text, encoding="utf-8")
