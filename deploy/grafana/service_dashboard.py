"""The dashboard Service: throughput, latency by stage, lag, commits."""

from common import MANY_WAIT, MODEL, OF_MODEL, OF_PARTITION, PARTITION, quantiles
from schema import Dashboard, Panel, stat

NOW = (
    stat("Events a second", f"model:nnstream_events:rate1m{{{OF_MODEL}}}", "reqps", width=5),
    stat("Lag", f"model:nnstream_consumer_lag_events:sum{{{OF_MODEL}}}", steps=MANY_WAIT, width=5),
    stat(
        "Latency, 95 of 100",
        f"model:nnstream_event_latency_seconds:p95{{{OF_MODEL}}}",
        "s",
        about="From an event's timestamp to its prediction, for the newest event of each batch.",
        width=5,
    ),
    stat(
        "Dead letters",
        f"model:nnstream_dead_letters:ratio_rate5m{{{OF_MODEL}}}",
        "percentunit",
        about="Share of the events that could not be used.",
        steps=((None, "green"), (0.001, "orange"), (0.01, "red")),
    ),
    stat(
        "Oldest checkpoint",
        f"model:nnstream_checkpoint_age_seconds:max{{{OF_MODEL}}}",
        "s",
        steps=((None, "green"), (300.0, "orange"), (600.0, "red")),
        width=5,
    ),
)
THROUGHPUT = (
    Panel(
        "Events, predictions, samples",
        {
            "events": f"model:nnstream_events:rate1m{{{OF_MODEL}}}",
            "predictions": f"model:nnstream_predictions:rate1m{{{OF_MODEL}}}",
            "samples learned": f"model:nnstream_samples_learned:rate1m{{{OF_MODEL}}}",
        },
        unit="reqps",
        low=0.0,
    ),
    Panel("Lag", {"partition {{partition}}": f"nnstream_consumer_lag_events{{{OF_PARTITION}}}"}, low=0.0),
    Panel(
        "Lag in time",
        {"partition {{partition}}": f"nnstream_consumer_lag_seconds{{{OF_PARTITION}}}"},
        unit="s",
        about="Age of the newest event taken in while others wait.",
        low=0.0,
    ),
    Panel(
        "Bytes in",
        {"bytes": f"sum(rate(nnstream_event_bytes_total{{{OF_PARTITION}}}[$__rate_interval]))"},
        unit="Bps",
        low=0.0,
    ),
)
TIME = (
    Panel(
        "Time by stage",
        {"{{stage}}": f"model_stage:nnstream_stage_duration_seconds:rate1m{{{OF_MODEL}}}"},
        unit="s",
        about="Seconds of work a second of the clock; a worker can use at most one.",
        stack=True,
        low=0.0,
    ),
    Panel(
        "Latency",
        quantiles("nnstream_event_latency_seconds", 0.5, 0.95, 0.99),
        unit="s",
        about="From an event's timestamp to its prediction.",
        low=0.0,
    ),
    Panel(
        "Batch size",
        {
            "events": f"sum(rate(nnstream_batch_events_sum{{{OF_PARTITION}}}[$__rate_interval]))"
            f" / sum(rate(nnstream_batch_events_count{{{OF_PARTITION}}}[$__rate_interval]))"
        },
        low=0.0,
    ),
)
SAFETY = (
    Panel(
        "Commits a second",
        {
            "commits": f"sum(rate(nnstream_commits_total{{{OF_MODEL}}}[$__rate_interval]))",
            "starts from the last commit": f"sum(rate(nnstream_restarts_total{{{OF_MODEL}}}[$__rate_interval]))",
            "given up": f"sum(rate(nnstream_transactions_aborted_total{{{OF_MODEL}}}[$__rate_interval]))",
        },
        low=0.0,
    ),
    Panel("Time of a commit", quantiles("nnstream_commit_duration_seconds", 0.5, 0.95), unit="s", low=0.0),
    Panel(
        "Time of a checkpoint",
        quantiles("nnstream_checkpoint_duration_seconds", 0.5, 0.95),
        unit="s",
        about="It is written beside the loop, which goes on meanwhile.",
        low=0.0,
    ),
    Panel(
        "Size of a checkpoint",
        {"partition {{partition}}": f"nnstream_checkpoint_bytes{{{OF_PARTITION}}}"},
        unit="bytes",
        low=0.0,
    ),
    Panel(
        "Age of the newest checkpoint",
        {"partition {{partition}}": f"time() - nnstream_checkpoint_timestamp_seconds{{{OF_PARTITION}}}"},
        unit="s",
        low=0.0,
    ),
    Panel(
        "Failed checkpoints",
        {"failures": f"sum(increase(nnstream_checkpoint_failures_total{{{OF_PARTITION}}}[10m]))"},
        low=0.0,
    ),
)
REST = (
    Panel(
        "Dead letters",
        {"{{problem}}": f"model_problem:nnstream_dead_letters:rate5m{{{OF_MODEL}}}"},
        unit="reqps",
        about="Events that could not be used, a second, by problem.",
        width=12,
        low=0.0,
    ),
    Panel(
        "Replayed after a restart",
        {
            "events": f"sum(nnstream_events_replayed_total{{{OF_PARTITION}}})",
            "to go": f"sum(nnstream_events_to_replay{{{OF_PARTITION}}})",
        },
        width=12,
        low=0.0,
    ),
)

DASHBOARD = Dashboard(
    "nnstream-service",
    "nnstream / Service",
    "Does the service keep up, where does the time go, and is its state safe?",
    rows={
        "Now": NOW,
        "Throughput": THROUGHPUT,
        "Time": TIME,
        "Commits and checkpoints": SAFETY,
        "What was not used, and what was used again": REST,
    },
    variables=(MODEL, PARTITION),
)
