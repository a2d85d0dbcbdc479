"""A Confluent-compatible schema registry, through Confluent's own client: asked with patience, and never guessed."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from service.errors import RegistryAwayError, RegistryError, SettingsError
from service.formats.wire_schema import Written
from service.settings import SchemaSettings

_T = TypeVar("_T")

_TIMEOUT_SECONDS = 3  # five times that is less than a transaction may be silent
_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8)  # then the worker starts over, and asks again before it takes up its work
_UNKNOWN_SECONDS = 30.0  # before a schema that was not there is asked for again
_NOT_FOUND, _CONFLICT, _INVALID = 404, 409, 422
_REFUSED = {401: "refuses the user name or password", 403: "does not allow it"}
# no such subject, version or schema; what else is not found was looked for in the wrong place, by a proxy perhaps
_NOT_THERE = {40401, 40402, 40403}
_MOST_UNKNOWN = 10_000


class SchemaRegistry:
    """Implements `service.formats.wire_schema.Schemas`.

    Args:
        settings: where it is, and who we are.
        note: told whether it answers, whenever it was asked.
        sleep: waits so many seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        settings: SchemaSettings,
        note: Callable[[bool], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._note, self._sleep, self._clock = settings, note, sleep, clock
        try:
            self._client = SchemaRegistryClient(_options(settings))
        except OSError as error:
            raise SettingsError(
                f"schemas.ca_file {settings.ca_file} cannot be used: {error}; give certificates in PEM"
            ) from None
        self._unknown: dict[int, float] = {}
        self._away: Callable[[], object] | None = None

    def fetch(self, schema_id: int) -> Written | None:
        """Return a schema with all that it refers to; None where there is none of this id."""
        since = self._unknown.get(schema_id)
        if since is not None and self._clock() - since < _UNKNOWN_SECONDS:
            return None
        try:
            return self._ask(lambda: self._written(self._client.get_schema(schema_id)))
        except SchemaRegistryError:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[schema_id] = self._clock()
            return None

    def register(self, subject: str, schema: Written) -> int:
        """Return the id of a schema of a subject; where it may, registers it."""
        wanted = Schema(schema.text, schema.kind)
        try:
            if self._settings.auto_register:
                return self._ask(lambda: self._client.register_schema(subject, wanted))
            found = self._ask(lambda: self._client.lookup_schema(subject, wanted).schema_id)
        except SchemaRegistryError as error:
            raise self._refusal(subject, error) from None
        if found is None:
            raise RegistryError(f"the registry at {self._settings.url} names no id of the schema of {subject}")
        return found

    def newest(self, subject: str) -> Written | None:
        """Return the newest schema of a subject; None where it has none."""
        try:
            return self._ask(lambda: self._written(self._client.get_latest_version(subject).schema))
        except SchemaRegistryError:
            return None

    def check_back(self) -> None:
        """Ask once more what was left without an answer; raises RegistryAwayError while there still is none."""
        if self._away is not None:
            try:
                self._ask(self._away, pauses=())
            except SchemaRegistryError:
                return

    def _refusal(self, subject: str, error: SchemaRegistryError) -> RegistryError:
        at = f"the registry at {self._settings.url}"
        if error.http_status_code in {_CONFLICT, _INVALID}:
            return RegistryError(
                f"{at} refuses the schema of {subject}: {error.error_message[:300]}; it must be compatible with "
                "those the subject has: give the topic another name, or change the subject's compatibility"
            )
        if error.http_status_code == _NOT_FOUND:
            return RegistryError(
                f"{at} has no schema of {subject} like ours; register it (service/formats/schemas), or set "
                "schemas.auto_register to true"
            )
        return RegistryError(f"{at} refuses the schema of {subject}: {error.error_message[:300]}")

    def _written(self, schema: Any) -> Written:
        found: dict[str, str] = {}
        self._add_references(schema.references, found)
        return Written(schema.schema_type or "AVRO", schema.schema_str, found)

    def _add_references(self, references: Sequence[Any] | None, found: dict[str, str]) -> None:
        for each in references or ():
            if each.name not in found:
                schema = self._client.get_version(each.subject, each.version).schema
                self._add_references(schema.references, found)
                found[each.name] = schema.schema_str or ""

    def _ask(self, question: Callable[[], _T], pauses: tuple[float, ...] = _PAUSES_SECONDS) -> _T:
        """Return the answer; a SchemaRegistryError is an answer too where asking again would not change it."""
        for pause in (*pauses, None):
            try:
                found = question()
            except SchemaRegistryError as error:
                if _is_answer(error):
                    self._answered()
                    raise
                problem = _REFUSED.get(error.http_status_code, f"answers {error.http_status_code}")
            except httpx2.HTTPError as error:
                problem = f"cannot be reached: {error or type(error).__name__}"
            except ValueError as error:  # a page for people, perhaps
                problem = f"gives an answer that cannot be understood: {error}"
            else:
                self._answered()
                return found
            if pause is not None:
                self._sleep(pause)
        self._note(False)
        self._away = question
        raise RegistryAwayError(
            f"the schema registry at {self._settings.url} {problem}; nothing is lost, and the stream goes on when it "
            "is back"
        )

    def _answered(self) -> None:
        self._away = None
        self._note(True)


def _is_answer(error: SchemaRegistryError) -> bool:
    return error.http_status_code in {_CONFLICT, _INVALID} or error.error_code in _NOT_THERE


def _options(settings: SchemaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"url": settings.url, "timeout": _TIMEOUT_SECONDS, "max.retries": 0}
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password is not None else ""
        options["basic.auth.user.info"] = f"{settings.username}:{password}"
    if settings.ca_file is not None:
        options["ssl.ca.location"] = str(settings.ca_file)
    return options
