"""Kafka and the checkpoint store in memory, for tests of whatever is built on the service. No broker, no threads.

    log = MemoryLog([Partition("events", 0)])
    log.append(Partition("events", 0), b'{"features": {"x": 1.0}, "label": 1}')
    source, publisher, store = MemorySource(log), MemoryPublisher(), MemoryStore()
    worker = Worker(settings, connect=lambda: Connection(source, publisher, store), ...)
    source.on_end = worker.stop
    worker.run()
    publisher.durable

What a crash leaves behind is the log and the store: give both to the next worker. Each fake writes what is asked of
it into a journal, which may be shared to see the order, and fails when told to.
"""

from service.testing.clock import FakeClock, InlineExecutor
from service.testing.fake import Journal
from service.testing.log import MemoryLog, MemoryRecord
from service.testing.publisher import MemoryPublisher
from service.testing.source import MemorySource
from service.testing.store import MemoryStore

__all__ = [
    "FakeClock",
    "InlineExecutor",
    "Journal",
    "MemoryLog",
    "MemoryPublisher",
    "MemoryRecord",
    "MemorySource",
    "MemoryStore",
]
