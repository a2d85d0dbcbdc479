"""The dashboard Fleet: all models and all workers."""

from common import MANY_WAIT, NONE_IS_GOOD
from schema import Dashboard, Panel, stat

NOW = (
    stat("Workers", 'sum(up{job="nnstream"})'),
    stat("Workers down", 'count(up{job="nnstream"} == 0) or vector(0)', steps=((None, "green"), (1.0, "red"))),
    stat("Models", "count(model:nnstream_assigned_partitions:sum)"),
    stat("Events a second", "sum(model:nnstream_events:rate1m)", "reqps"),
    stat("Lag", "sum(model:nnstream_consumer_lag_events:sum)", steps=MANY_WAIT),
    stat(
        "Alerts firing",
        'count(ALERTS{alertstate="firing", severity!="info"}) or vector(0)',
        about="Those of deploy/prometheus; docs/runbook.md says what to do.",
        steps=NONE_IS_GOOD,
    ),
)
MODELS = (
    Panel("Events a second", {"{{model}}": "model:nnstream_events:rate1m"}, unit="reqps", low=0.0),
    Panel("Lag", {"{{model}}": "model:nnstream_consumer_lag_events:sum"}, low=0.0),
    Panel("Latency, 95 of 100", {"{{model}}": "model:nnstream_event_latency_seconds:p95"}, unit="s", low=0.0),
    Panel(
        "Lead over the best baseline",
        {
            "{{model}}: points of accuracy": "model:nnstream_accuracy_lead:avg",
            "{{model}}: share of the error": "model:nnstream_mae_lead:ratio",
        },
        unit="percentunit",
        about="Below zero a rule that needs no model predicts better.",
    ),
    Panel("Dead letters", {"{{model}}": "model:nnstream_dead_letters:ratio_rate5m"}, unit="percentunit", low=0.0),
    Panel(
        "Drift alerts",
        {"{{model}}": "sum by (model) (model_signal:nnstream_drift_alerts:increase10m)"},
        low=0.0,
    ),
)
WORKERS = (
    Panel("Partitions", {"{{instance}} {{model}}": "nnstream_assigned_partitions"}, stack=True, low=0.0),
    Panel("Reaches Kafka", {"{{instance}}": "nnstream_broker_reachable"}, low=0.0, high=1.0),
    Panel("Answers", {"{{instance}}": 'up{job="nnstream"}'}, low=0.0, high=1.0),
    Panel("Versions", {"": "nnstream_build_info"}, "table", width=24, height=6),
)

DASHBOARD = Dashboard(
    "nnstream-fleet",
    "nnstream / Fleet",
    "All models and all workers: who runs, who is behind, who needs somebody.",
    rows={"Now": NOW, "Models": MODELS, "Workers": WORKERS},
)
