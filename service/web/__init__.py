"""HTTP: health, readiness, metrics, status, predictions."""
