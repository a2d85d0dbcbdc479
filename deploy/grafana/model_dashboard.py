"""The dashboard Model: quality, drift, ensemble."""

from common import ABOVE_ZERO_IS_GOOD, MODEL, NONE_IS_GOOD, OF_MODEL, OF_PARTITION, PARTITION
from schema import Dashboard, Panel, stat

_LEAD = f"model:nnstream_accuracy_lead:avg{{{OF_MODEL}}} or model:nnstream_mae_lead:ratio{{{OF_MODEL}}}"
_WEIGHTS = {"{{member}}": f"avg by (member) (nnstream_member_weight{{{OF_PARTITION}}})"}

NOW = (
    stat(
        "Score",
        f'avg by (metric) (nnstream_score{{{OF_PARTITION}, metric=~"accuracy|mae", of="model"}})',
        "none",
        about="Accuracy, or the mean absolute error, over the last events.",
        width=5,
    ),
    stat(
        "Lead over the best baseline",
        _LEAD,
        "percentunit",
        about="Below zero, repeating the last label (or the most frequent one) predicts better.",
        steps=ABOVE_ZERO_IS_GOOD,
        width=5,
    ),
    stat("Loss", f"avg(nnstream_loss{{{OF_PARTITION}}})", "none"),
    stat(
        "Drift alerts within the hour",
        f"sum(increase(nnstream_drift_alerts_total{{{OF_PARTITION}}}[1h]))",
        steps=NONE_IS_GOOD,
        width=5,
    ),
    stat("Samples learned", f"sum(nnstream_model_version{{{OF_PARTITION}}})", width=5),
)
QUALITY = (
    Panel(
        "Score beside its baselines",
        {"{{metric}} of {{of}}": f'avg by (metric, of) (nnstream_score{{{OF_PARTITION}, metric=~"accuracy|mae"}})'},
        unit="none",
        about="A model is worth its cost while it is above (for errors: below) every baseline.",
        width=12,
    ),
    Panel(
        "Loss",
        {"partition {{partition}}": f"nnstream_loss{{{OF_PARTITION}}}"},
        unit="none",
        about="Marks are drift alerts. A burst that falls again is a change that was learned.",
        width=12,
        low=0.0,
    ),
)
DRIFT = (
    Panel(
        "Drift alerts",
        {"{{signal}}": f"model_signal:nnstream_drift_alerts:increase10m{{{OF_MODEL}}}"},
        about="Alerts within ten minutes, by signal.",
        low=0.0,
    ),
    Panel(
        "What moved most",
        {
            "{{signal}} {{feature}}": "topk(10, max by (signal, feature) "
            f"(abs(nnstream_drift_shift{{{OF_PARTITION}}})))"
        },
        "bargauge",
        unit="none",
        about="Standard deviations from what was usual; 0.2 is nothing, 1 and more is a change.",
        steps=((None, "green"), (0.5, "orange"), (1.0, "red")),
        low=0.0,
    ),
    Panel(
        "Late labels",
        {
            "events that wait": f"sum(nnstream_labels_pending{{{OF_PARTITION}}})",
            "given up: {{reason}}": "sum by (reason) "
            f"(increase(nnstream_labels_expired_total{{{OF_PARTITION}}}[10m]))",
        },
        about="Events whose label is waited for; what is given up will never be learned.",
        low=0.0,
    ),
)
CONFIDENCE = (
    Panel(
        "Coverage of intervals and sets",
        {"partition {{partition}}": f"nnstream_coverage{{{OF_PARTITION}}}"},
        unit="percentunit",
        about="How often they held their label; it should stay near model.confidence.",
        width=12,
        low=0.0,
        high=1.0,
    ),
    Panel(
        "What drives the predictions",
        {"{{feature}}": f"topk(12, avg by (feature) (nnstream_contribution{{{OF_PARTITION}}}))"},
        "bargauge",
        unit="none",
        about="Mean absolute contribution of each feature to the newest explained predictions.",
        width=12,
        low=0.0,
    ),
)
ENSEMBLE = (
    Panel(
        "Weights",
        _WEIGHTS,
        unit="percentunit",
        about="Whom the mixture listens to. After a drift the weight moves to whoever adapts fastest.",
        width=16,
        height=10,
        stack=True,
        low=0.0,
        high=1.0,
    ),
    Panel("Weights now", _WEIGHTS, "bargauge", "percentunit", width=8, height=10, low=0.0, high=1.0),
    Panel(
        "Gradients",
        {"{{member}}": f"avg by (member) (nnstream_gradient_norm{{{OF_PARTITION}}})"},
        about="Mean length of each network's newest gradients. Rising without end: it diverges.",
        low=0.0,
    ),
    Panel(
        "Length of all weights",
        {"{{member}}": f"avg by (member) (nnstream_weight_norm{{{OF_PARTITION}}})"},
        about="Weights that grow without end ask for regularisation, or for a lower learning rate.",
        low=0.0,
    ),
    Panel(
        "Dead ReLU units",
        {"{{member}}": f"avg by (member) (nnstream_dead_relu_ratio{{{OF_PARTITION}}})"},
        unit="percentunit",
        about="Hidden units that were 0 in all of the newest learned events: they learn nothing any more.",
        low=0.0,
        high=1.0,
    ),
)

DASHBOARD = Dashboard(
    "nnstream-model",
    "nnstream / Model",
    "Is the model good, has the world moved, and what did the model do about it?",
    rows={
        "Now": NOW,
        "Quality": QUALITY,
        "Drift and labels": DRIFT,
        "Confidence and reasons": CONFIDENCE,
        "Ensemble": ENSEMBLE,
    },
    variables=(MODEL, PARTITION),
    annotations={
        "Drift alerts": f"sum by (signal) (increase(nnstream_drift_alerts_total{{{OF_MODEL}}}[$__rate_interval])) > 0"
    },
)
