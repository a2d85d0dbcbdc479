"""What must be true in the end, whatever happened on the way."""

import numpy as np
from harness import assert_same, essence, expected, generated, offsets, wait_until

from nnstream import snapshot
from nnstream.model import Model
from service import checkpoint
from service.records import Partition
from service.settings import load_settings
from service.wiring import model_spec, new_store


def mixed_log(count, seed, delay=300):
    """Events of which half have their label and half get it `delay` events later, in one log."""
    late = np.random.default_rng(seed).random(count) < 0.5
    out, waiting = [], []
    for i, event in enumerate(generated(count, seed)):
        name = f"p{seed}-{i}"
        if late[i]:
            waiting.append((i + delay, {"id": name, "label": event["label"]}))
            out.append({name_: value for name_, value in event.items() if name_ != "label"} | {"id": name})
        else:
            out.append(event | {"id": name})
        while waiting and waiting[0][0] <= i:
            out.append(waiting.pop(0)[1])
    return out


def rows_of(log):
    """What the library is to be fed with: a late label brings its event's features."""
    features = {each["id"]: each["features"] for each in log if "features" in each}
    return [{"features": features[each["id"]], "label": each.get("label")} for each in log]


def is_event(each):
    return isinstance(each, dict) and "features" in each


def assert_nothing_lost_nothing_twice(service, logs):
    """Every event of each log has one prediction, in order, which is the library's, and so are the last weights.

    What is no dict in a log is no event, and no label either.
    """
    count = sum(map(is_event, (each for log in logs for each in log)))
    predictions = service.predictions(count)
    assert service.predicted() == count
    for number, log in enumerate(logs):
        model, good = Model(model_spec(service.settings.model)), [each for each in log if isinstance(each, dict)]
        everything = expected(model, rows_of(good))
        wanted = [body for body, each in zip(everything, good, strict=True) if is_event(each)]
        places = [offset for offset, each in enumerate(log) if is_event(each)]
        assert_same(offsets(predictions[number]), places)
        assert_same(list(map(essence, predictions[number])), wanted)
        assert snapshot.dump(last_model(service, number)) == snapshot.dump(model)


def wait_settled(*workers, partitions=1):
    """Wait until the workers hold all partitions and replay none: only then does stopping leave the last weights."""

    def settled():
        ready = all(each.get("/readyz").status_code == 200 for each in workers)
        return ready and sum(len(each.status()) for each in workers) == partitions

    wait_until(settled, f"{partitions} partitions owned and replayed", lambda: [each.check() for each in workers])


def last_model(service, number):
    """The model of the checkpoint that a stopped service left, which is one of the whole log."""
    settings = load_settings(service.config)
    store = new_store(settings)
    try:
        partition = Partition(settings.topics.events, number)
        newest = store.load(partition, store.offsets(partition)[0])
    finally:
        store.close()
    model, state = checkpoint.unpack(newest, model_spec(settings.model))
    assert state.offset == service.kafka.end_offsets(partition.topic)[number], "stopped before it had replayed all"
    return model


def assert_learned_as_published(service, events, predictions):
    """With labels of a topic of their own: learn as many before each event as its published version says."""
    model, learned, rows = Model(model_spec(service.settings.model)), 0, []
    for event, body in zip(events, predictions, strict=True):
        version = body["model"]["version"]
        rows += [(True, each) for each in events[learned:version]] + [(False, event)]
        learned = version
    rows += [(True, each) for each in events[learned:]]
    outcome = model.predict_then_learn(
        [event["features"] for _, event in rows], [event["label"] if learn else None for learn, event in rows]
    )
    wanted = {}
    for segment in outcome.segments:
        for i, outputs in zip(segment.rows, segment.outputs.tolist(), strict=True):
            if not rows[i][0]:
                wanted[rows[i][1]["id"]] = outputs
    found = [list(body.get("probabilities", {}).values()) for body in predictions]
    assert_same(found, [wanted[event["id"]] for event in events])
    return model
