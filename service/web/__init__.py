"""HTTP: health, readiness, metrics, status, predictions, the live page."""
