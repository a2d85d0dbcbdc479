"""The registry's client against answers of every kind, from a server of our own."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.adapters.schema_registry import SchemaRegistry
from service.errors import RegistryAwayError, RegistryError, SettingsError
from service.formats.wire_schema import Written
from service.settings import SchemaSettings

SECRET = {"username": "me", "password": "s3cret"}
SCHEMA = Written("AVRO", '"string"')
MISSING = (404, {"error_code": 40403, "message": "Schema not found"})


class Server:
    """Gives the answers it was told, the last of them for ever."""

    def __init__(self):
        self.answers, self.requests = [], []

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        self.requests.append((handler.path, handler.headers.get("authorization"), body))
        status, said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(said):
            status, said = said(handler.path)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


@pytest.fixture
def server():
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        yield state
        http.shutdown()
        thread.join()


@contextmanager
def registry(url, **settings):
    """A registry with its notes, its pauses and a clock."""
    notes, pauses, now = [], [], [0.0]
    found = SchemaRegistry(SchemaSettings(url=url, **settings), notes.append, pauses.append, lambda: now[0])
    with found._client:
        yield found, notes, pauses, now


def test_a_schema_comes_with_all_it_refers_to(server):
    reference = {"name": "inner", "subject": "inner-value", "version": 2}
    deeper = {"name": "deeper", "subject": "deeper-value", "version": 1}

    def said(path):
        if "deeper" in path:
            return 200, {"id": 7, "version": 1, "subject": "deeper-value", "schema": "D"}
        if "inner" in path:
            return 200, {"id": 8, "version": 2, "subject": "inner-value", "schema": "I", "references": [deeper]}
        return 200, {"schema": "S", "schemaType": "PROTOBUF", "references": [reference]}

    server.answers = [(0, said)]
    with registry(server.url, **SECRET) as (found, notes, _, _):
        schema = found.fetch(5)
    assert schema == Written("PROTOBUF", "S", {"deeper": "D", "inner": "I"})
    assert list(schema.references) == ["deeper", "inner"]
    assert notes == [True]
    assert server.requests[0][1] == "Basic " + base64.b64encode(b"me:s3cret").decode()


def test_what_is_not_there_is_asked_for_again_after_a_while(server):
    server.answers = [MISSING]
    with registry(server.url) as (found, notes, pauses, now):
        assert [found.fetch(5), found.fetch(5)] == [None, None]
        assert len(server.requests) == 1
        now[0] = 31.0
        server.answers = [(200, {"schema": '"string"'})]
        assert found.fetch(5) == SCHEMA
    assert (notes, pauses) == ([True, True], [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, {"error_code": 503, "message": "later"}), "answers 503"),
        ((404, b"<html>no such page</html>"), "answers 404"),
        ((401, {"error_code": 401, "message": "who?"}), "refuses the user name or password"),
        ((200, b"<html>log in, please</html>"), "cannot be understood"),
    ],
)
def test_no_answer_is_no_verdict(server, answer, words):
    server.answers = [answer]
    with registry(server.url, **SECRET) as (found, notes, pauses, _):
        with pytest.raises(RegistryAwayError, match=words) as caught:
            found.fetch(5)
        assert len(server.requests) == 5
        assert pauses == [0.1, 0.2, 0.4, 0.8]
        assert "s3cret" not in str(caught.value)
        with pytest.raises(RegistryAwayError):
            found.check_back()
        assert len(server.requests) == 6
        server.answers = [MISSING]
        found.check_back()
        found.check_back()
        assert len(server.requests) == 7
    assert notes == [False, False, True]


def test_a_server_that_is_not_there_is_waited_for():
    with (
        registry("http://127.0.0.1:1") as (found, _, pauses, _),
        pytest.raises(RegistryAwayError, match="cannot be reached"),
    ):
        found.fetch(5)
    assert len(pauses) == 4


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_are_none_are_named(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"schemas.ca_file .*ca.pem cannot be used"):
        SchemaRegistry(SchemaSettings(url="https://registry", ca_file=path))


def test_a_moment_without_an_answer_is_nothing(server):
    server.answers = [(503, {"error_code": 503, "message": "later"}), (200, {"schema": '"string"'})]
    with registry(server.url) as (found, notes, pauses, _):
        assert found.fetch(5) == SCHEMA
    assert (notes, pauses) == ([True], [0.1])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (409, {"error_code": 409, "message": "READER_FIELD_MISSING"}),
            "READER_FIELD_MISSING; it must be compatible",
        ),
        ((422, {"error_code": 42201, "message": "invalid"}), "compatible"),
    ],
)
def test_a_schema_that_is_refused_is_an_error(server, answer, words):
    server.answers = [answer]
    with registry(server.url) as (found, _, _, _), pytest.raises(RegistryError, match=words):
        found.register("predictions-value", SCHEMA)


def test_without_leave_to_register_it_only_looks(server):
    server.answers = [(404, {"error_code": 40401, "message": "no subject"})]
    with registry(server.url, auto_register=False) as (found, _, _, _):
        with pytest.raises(RegistryError, match=r"schemas.auto_register to true"):
            found.register("predictions-value", SCHEMA)
        server.answers = [(200, {"subject": "predictions-value", "id": 9, "version": 1, "schema": '"string"'})]
        assert found.register("predictions-value", SCHEMA) == 9
    assert all("/versions" not in path for path, _, _ in server.requests)


def test_a_subject_without_schemas_has_no_newest(server):
    server.answers = [(404, {"error_code": 40401, "message": "no subject"})]
    with registry(server.url) as (found, _, _, _):
        assert found.newest("events-value") is None
