"""Every tenth record is hostile, and workers are killed: the others are all predicted, each bad one is told."""

import random
import sys
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from harness import Raw, assert_same
from judge import assert_nothing_lost_nothing_twice, mixed_log

from service.events import DEAD_LETTER_HEADER, DeadLetter, Problem

sys.path.insert(0, str(Path(__file__).parent))

from hostile import KINDS, LARGE, MAX_EVENT_BYTES, drawn, headers, keys

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(1800)]

SHARE = 0.1
LARGE_SHARE, SECOND_LABELS = 0.05, 0.05  # of the hostile ones
MOST_GROWTH_BYTES = 100 * 2**20  # less than what the large ones have together
DIFFERENT = 60  # of each kind; a longer storm repeats them
OTHERS = {"unknown_id", "unreadable"}  # known after a day; of other formats
SETTINGS = {
    "kafka": {"session_timeout_ms": 3_000, "instance_id": "one"},
    "delivery": {"commit_interval_ms": 50, "max_event_bytes": MAX_EVENT_BYTES},
    "checkpoint": {"every_events": 2_000, "url": None},
}


def storm(count, number):
    """A log of events and late labels, a tenth of it hostile."""
    rng = random.Random(number)
    values = {kind: drawn(strategy, DIFFERENT, number) for kind, strategy in KINDS.items()}
    beside = [drawn(keys, DIFFERENT, number), drawn(headers, DIFFERENT, number)]
    log, labelled = [], []
    for event in mixed_log(count, number):
        if rng.random() < SHARE / (1 - SHARE):
            value = rng.choice(values[LARGE if rng.random() < LARGE_SHARE else rng.choice(list(values))])
            if labelled and rng.random() < SECOND_LABELS:
                value = b'{"id": "%s", "label": 1}' % rng.choice(labelled).encode()
            key, more = map(rng.choice, beside)
            log.append(Raw(value, b"" if value is None and key is None else key, more))  # a client refuses two nulls
        if "features" not in event:
            labelled.append(event["id"])
        log.append(event)
    return log


def test_the_others_are_predicted_and_each_hostile_record_is_told(new_service, kafka, dose):
    log = storm(dose.storm, random.randrange(10**6))
    service = new_service(SETTINGS)
    kafka.create(service.topics["events"], max_message_bytes=16 * 2**20)
    service.set({"topics": service.checkpoint_topic()})
    cuts = [0, len(log) // 3, 2 * len(log) // 3, len(log)]
    grown = []
    for start, end in pairwise(cuts):
        service.kill()  # but for the first time, in the middle of its work
        service.start(ready=False)
        service.produce(log[start : start + 1000])
        service.wait_committed(start + 500)
        warm = service.memory("VmHWM")
        service.produce(log[start + 1000 : end])
        service.wait_committed(end if end == len(log) else end - 200)
        grown.append(service.memory("VmHWM") - warm)
    service.stop()
    assert_nothing_lost_nothing_twice(service, [log])
    check_letters(service, kafka, log)
    assert max(grown) < MOST_GROWTH_BYTES, grown


def check_letters(service, kafka, log):
    """Each hostile record is there once, as it came, with its place and a reason."""
    hostile = [(offset, each) for offset, each in enumerate(log) if isinstance(each, Raw)]
    letters = kafka.read(service.topics["dead_letters"], len(hostile))[0]
    assert kafka.count(service.topics["dead_letters"]) == {0: len(hostile)}
    reasons = [DeadLetter.model_validate_json(dict(letter.headers)[DEAD_LETTER_HEADER]) for letter in letters]
    assert_same([why.source.offset for why in reasons], [offset for offset, _ in hostile])
    assert_same(
        [Raw(letter.value, letter.key, letter.headers[:-1]) for letter in letters], [raw for _, raw in hostile]
    )
    assert all(0 < len(why.reason) < 500 for why in reasons)
    assert {why.problem for why in reasons} == set(get_args(Problem)) - OTHERS
