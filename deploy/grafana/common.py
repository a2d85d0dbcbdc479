"""What the dashboards share: the choices at their head, and colours with a meaning."""

from schema import Variable

MODEL = Variable("model", "label_values(nnstream_assigned_partitions, model)")
PARTITION = Variable("partition", 'label_values(nnstream_events_total{model="$model"}, partition)', many=True)
OF_MODEL = 'model="$model"'
OF_PARTITION = 'model="$model", partition=~"$partition"'

ABOVE_ZERO_IS_GOOD = ((None, "red"), (0.0, "green"))
NONE_IS_GOOD = ((None, "green"), (1.0, "orange"))
MANY_WAIT = ((None, "green"), (1_000.0, "orange"), (100_000.0, "red"))


def quantiles(metric: str, *shares: float) -> dict[str, str]:
    """Return quantiles of a histogram over all partitions and workers of a model."""
    rates = f"sum by (le) (rate({metric}_bucket{{{OF_MODEL}}}[$__rate_interval]))"
    return {f"{100 * share:g} of 100": f"histogram_quantile({share}, {rates})" for share in shares}
