"""What can be said of deploy/ without a container engine: files exist, names are known, ports meet."""

from pathlib import Path

import yaml

from service.settings import ENV_PREFIX, load_settings

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_every_file_that_compose_mounts_or_builds_from_exists():
    for service in COMPOSE["services"].values():
        if "build" in service:
            assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


def test_the_containers_settings_are_settings(monkeypatch):
    for name, value in COMPOSE["services"]["nnstream"]["environment"].items():
        assert name.startswith(ENV_PREFIX)
        monkeypatch.setenv(name, value)
    settings = load_settings(ROOT / "deploy" / "nnstream.yaml")
    assert settings.kafka.bootstrap_servers == "kafka:29092"
    listeners = COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INTERNAL://{settings.kafka.bootstrap_servers}" in listeners.split(",")
    assert (settings.http.host, f"{settings.http.port}:8080") == (
        "0.0.0.0",  # noqa: S104  # inside the container
        COMPOSE["services"]["nnstream"]["ports"][0],
    )


def test_prometheus_scrapes_the_service_where_it_listens():
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = [t for job in prometheus["scrape_configs"] for each in job["static_configs"] for t in each["targets"]]
    settings = load_settings(ROOT / "deploy" / "nnstream.yaml")
    assert targets == [f"nnstream:{settings.http.port}"]


def test_the_dockerfile_copies_only_what_is_there():
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    sources = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
