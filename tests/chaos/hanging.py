"""What docs/runbook.md tells an operator to do about transactions that hang in the broker."""

import time
from contextlib import closing

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import AbortTransactionSpec, TransactionState

_UNDER_WAY = {TransactionState.ONGOING, TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT}


def end_hanging_transactions(servers):
    """Abort every transaction that a log holds open and no coordinator knows of any more; return how many.

    A broker that is killed between the decision about a transaction and its markers may forget to write them.
    """
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        found = _hanging(admin)
        time.sleep(1)
        still = found & _hanging(admin)
        for tp, producer in still:
            who = producer.producer_id, producer.producer_epoch, producer.coordinator_epoch
            admin.abort_transaction(AbortTransactionSpec(tp, *who))
    return len(still)


def _hanging(admin):
    topics = admin.describe_topics()
    partitions = [TopicPartition(t["name"], p["partition_index"]) for t in topics for p in t["partitions"]]
    open_ones = {
        (tp, producer)
        for tp, state in admin.describe_producers(partitions).items()
        for producer in state.active_producers
        if producer.current_transaction_start_offset >= 0
    }
    known = {
        each.producer_id
        for listings in admin.list_transactions().values()
        for each in listings
        if each.state in _UNDER_WAY
    }
    return {(tp, producer) for tp, producer in open_ones if producer.producer_id not in known}
