"""Every exception the service raises on purpose; each message ends in what to do now.

ServiceError
├── SettingsError             the configuration cannot be used                     exit code 2
├── BrokerError               Kafka cannot be reached, or refuses                  exit code 3
│   ├── CommitPostponedError  the group is sharing out its partitions anew; commit again later
│   ├── TransactionsMissingError   the broker has none
│   └── StartOverError        the connection is gone: connect anew, go on from the last commit
│       ├── FencedError       another worker has taken over: nothing since the last commit counts
│       └── RegistryAwayError   the schema registry gives no answer: wait for it, then go on from the last commit
├── RegistryError             the schema registry refuses a schema, or has a wrong one   exit code 3
├── TopicMissingError         a topic does not exist and must not be created       exit code 3
├── CheckpointError           no checkpoint that can be trusted                    exit code 4
├── DataError                 a file or data set to send cannot be read            exit code 2
└── EmbeddedBrokerError       the broker of the demo cannot be started             exit code 3
    └── EmbeddedBrokerMissingError   it is not installed
"""


class ServiceError(Exception):
    """The root; `exit_code` is what the command line ends with."""

    exit_code = 1


class SettingsError(ServiceError):
    """The configuration cannot be used."""

    exit_code = 2


class DataError(ServiceError):
    """A file or data set to send or to evaluate cannot be read."""

    exit_code = 2


class BrokerError(ServiceError):
    """Kafka cannot be reached, or refuses."""

    exit_code = 3


class CommitPostponedError(BrokerError):
    """The group is sharing out its partitions anew: commit again after the next poll."""


class TransactionsMissingError(BrokerError):
    """The broker has no transactions."""


class StartOverError(BrokerError):
    """The connection is gone: connect anew, and go on from the last commit."""


class FencedError(StartOverError):
    """Another worker has taken over: nothing since the last commit counts."""


class RegistryAwayError(StartOverError):
    """The schema registry gives no answer: wait for it, then go on from the last commit."""


class RegistryError(ServiceError):
    """The schema registry refuses a schema, or has one that cannot be used."""

    exit_code = 3


class TopicMissingError(ServiceError):
    """A topic does not exist and must not be created."""

    exit_code = 3


class CheckpointError(ServiceError):
    """There is no checkpoint that can be trusted."""

    exit_code = 4


class EmbeddedBrokerError(ServiceError):
    """The broker of the demo cannot be started."""

    exit_code = 3


class EmbeddedBrokerMissingError(EmbeddedBrokerError):
    """The broker of the demo is not installed."""
