"""What formats with a registry ask of it, and predictions by its schemas."""

from io import BytesIO

import pytest
from google.protobuf import message_factory
from rig import P0, Rig, make_settings
from schemas_in_memory import KINDS, MemorySchemas, decoded, new
from typer.testing import CliRunner

from service.cli import app
from service.encoded import EncodingPublisher
from service.errors import DataError, RegistryAwayError, SettingsError
from service.formats import avro as avro_format
from service.formats import protobuf
from service.formats.descriptors import file_of
from service.formats.known import FORMATS
from service.formats.own_schemas import own_writer, within_reach
from service.formats.registered import RegisteredFormat
from service.formats.wire_schema import Written, header
from service.publish import _encode
from service.records import Outgoing
from service.settings import settings_from
from service.testing import MemoryLog, MemoryPublisher
from service.wire_formats import needs_registry, prediction_writer

# -- the registry


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_unknown_schema_is_asked_for_again_and_another_type_refused(name):
    form, schemas = new(name)
    value, _ = form.write({"features": {"a": 1.0}})
    later = header(2) + value[5:]
    assert "no schema 2" in decoded(form, later).refused[0].reason
    schemas.register("any", schemas.schemas[0])
    assert decoded(form, later).features == [{"a": 1.0}]
    schemas.register("any", Written("JSON", "{}"))
    assert "type JSON" in decoded(form, header(3) + value[5:]).refused[0].reason


def test_a_registry_that_is_away_is_no_dead_letter_and_what_is_known_goes_on():
    form, schemas = new("avro")
    value, _ = form.write({"features": {"a": 1.0}})
    decoded(form, value)
    schemas.away = True
    assert decoded(form, value, value).features == [{"a": 1.0}] * 2
    with pytest.raises(RegistryAwayError):
        decoded(form, value, header(2) + value[5:])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_same_predictions_as_json_while_the_registry_goes_and_comes(name, monkeypatch):
    bodies = [
        {"id": f"e-{i}", "features": {"a": i % 7 / 2, "b": -1.0}, **({} if i % 3 == 0 else {"label": i % 2})}
        for i in range(60)
    ]
    log = [each for i, one in enumerate(bodies)
           for each in ([one, {"id": bodies[i - 2]["id"], "label": 1}] if i % 3 == 2 else [one])]  # fmt: skip

    def run(kind, write):
        memory = MemoryLog([P0])
        for each in log:
            memory.append(P0, write(each)[0])
        settings = make_settings(
            topics={"format": kind, "predictions_format": "json"}, schemas={"url": "http://registry"}
        )
        rig = Rig(memory, settings, batch_size=7)
        rig.reconnect_with(batch_size=5)
        return rig.run()

    form, schemas = new(name)
    outages = iter([True, True, False])
    fetch = schemas.fetch

    def unsteady(schema_id):
        schemas.away = next(outages, False)
        return fetch(schema_id)

    monkeypatch.setattr(schemas, "fetch", unsteady)
    monkeypatch.setitem(FORMATS, name, lambda: form)
    found = run(name, form.write)
    assert next(outages, None) is None
    assert found.published()["predictions"] == run("json", lambda each: (_encode(each),)).published()["predictions"]
    assert not found.published()["dead-letters"]


def test_a_copy_that_was_left_half_done_is_no_copy(monkeypatch):
    rig = Rig(MemoryLog([P0]))
    rig.started()

    def away(connection):
        raise RegistryAwayError("it is away")

    monkeypatch.setattr(rig.worker._standby, "_follow", away)
    rig.clock.advance(1.0)
    with pytest.raises(RegistryAwayError):
        rig.worker._standby.step(rig.connect())


def test_it_needs_a_registry_and_its_secrets_are_not_shown():
    with pytest.raises(SettingsError, match=r"topics.format: avro needs a schema registry; set schemas.url"):
        needs_registry(settings_from({"topics": {"format": "avro"}}))
    for schemas in ({"url": "http://me:s3cret@registry"}, {"url": "s3cret"}, {"password": ["s3cret"]},
                    {"password": "s3cret", "id_field": "ts"}):  # fmt: skip
        with pytest.raises(SettingsError, match="schemas") as caught:
            settings_from({"schemas": schemas})
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("command", [["tail"], ["report", "--out", "report.html"]])
def test_commands_that_read_json_say_so(command, tmp_path, own_logs):
    config = tmp_path / "config.yaml"
    config.write_text("topics: {format: avro}\nschemas: {url: http://registry}\n")
    found = CliRunner().invoke(app, [command[0], str(config), *command[1:]])
    assert isinstance(found.exception, SettingsError)
    assert "topics.predictions_format to json" in str(found.exception)


# -- predictions

PREDICTION = {
    "id": "e-1", "ts": 5, "prediction": 1, "probabilities": {"0": 0.25, "1": 0.75}, "label": True, "loss": 0.5,
    "model": {"name": "default", "version": 7}, "source": {"topic": "events", "partition": 0, "offset": 3},
    "prediction_set": ["a", 1], "confidence": 0.9, "interval": {"lower": -1.0, "upper": 1.5},
    "explanation": {"method": "integrated_gradients", "label": 1, "output": 1.4, "baseline": -0.5,
                    "contributions": {"amount": 1.9}},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(KINDS))
def test_predictions_go_out_by_their_schema_and_all_else_as_it_is(name):
    schemas, journal = MemorySchemas(), MemoryPublisher()
    settings = make_settings(topics={"predictions_format": name})
    publisher = EncodingPublisher(journal, "predictions", prediction_writer(settings, schemas))
    huge = PREDICTION | {"id": 10**30}
    records = [Outgoing("predictions", 0, None, _encode(each), (), 5) for each in (PREDICTION, huge)]
    publisher.send([*records, Outgoing("alerts", 0, None, b"{}", (), 5)])
    assert list(schemas.subjects) == ["predictions-value"]
    values = [each.value for each in journal.pending]
    assert values[2] == b"{}"
    read = RegisteredFormat(KINDS[name], schemas, reader_of(name), None)
    first, second = (read._plain(value) for value in values[:2])
    assert first["prediction"] == 1
    assert {**first["probabilities"]} == PREDICTION["probabilities"]
    assert first["label"] is True
    assert first["explanation"]["contributions"] == {"amount": 1.9}
    assert second["id"] == str(10**30)


def reader_of(name):
    """Reads all fields of a record as they are."""
    if name == "avro":
        return lambda schema: (
            lambda value: avro_format.schemaless_reader(BytesIO(value), avro_format.parsed(schema), None)
        )

    def compiled(schema):
        kind = file_of(schema).message_types_by_name["Prediction"]
        make, convert = message_factory.GetMessageClass(kind), protobuf.Converters().message(kind)
        return lambda value: convert(make.FromString(value[1:]))

    return compiled


@pytest.mark.parametrize("kind", sorted(KINDS.values()))
def test_what_has_no_room_is_refused_when_it_is_written(kind):
    with pytest.raises(DataError, match=r"event 'e' does not fit the schema.*take json"):
        own_writer("event", kind, 1)({"id": "e", "features": {"a": 1.0}, "label": b"x", "ts": 2**70})
    assert within_reach({"a": [2**63, -(2**63)], "b": {"c": True}}) == {"a": [str(2**63), -(2**63)], "b": {"c": True}}
