"""What both Kafka clients share: limits, and the service's own words for what Kafka says."""

from service.errors import BrokerError, FencedError, StartOverError, TransactionsMissingError

LARGEST_REQUEST_BYTES = 64 * 2**20
LAST_PATIENCE_SECONDS = 3.0


def fenced(action: str, said: str) -> FencedError:
    """Return the error for what somebody else may do now."""
    return FencedError(f"{action}: another worker has taken over ({said})")


def silent(action: str, servers: str, said: str) -> StartOverError:
    """Return the error for no answer at all."""
    return StartOverError(
        f"{action}: no answer from Kafka at {servers} ({said}); "
        "check that it runs and that kafka.bootstrap_servers is right"
    )


def passing(action: str, servers: str, said: str) -> StartOverError:
    """Return the error for what may be better with a new connection."""
    return StartOverError(f"{action}: Kafka at {servers} says {said}")


def held_open(action: str, seconds: float) -> StartOverError:
    """Return the error for a commit that some transaction may still change."""
    return StartOverError(
        f"{action}: a transaction has held it open for {seconds:.0f} s. A worker's own ends by itself after "
        "delivery.transaction_timeout_ms; one that stays hangs in the broker: docs/runbook.md, under RestartLoop, "
        "says how to end it"
    )


def refused(action: str, servers: str, said: str) -> BrokerError:
    """Return the error for what would be refused again."""
    return BrokerError(f"{action}: Kafka at {servers} says {said}")


def without_transactions(servers: str, said: object) -> TransactionsMissingError:
    """Return the error for a broker that cannot deliver exactly once."""
    return TransactionsMissingError(
        f"Kafka at {servers} has no transactions ({said}); "
        "set delivery.guarantee to at_least_once, or use a broker that has them"
    )
