from __future__ import annotations

import yaml

from mesh import certificates, envoy
from mesh.envoy import Addresses


def test_a_dump_reads_back_as_it_was() -> None:
    """Long texts, shared parts and numbers survive YAML."""
    shared = {"on": True, "time": "1s"}
    config = {"a": shared, "b": shared, "text": 'one\n  two: "x"\n', "no": "off", "n": 0.5}
    text = envoy.dump(config)
    assert yaml.safe_load(text) == config
    assert "&id" not in text
    assert "|" in text


def test_seconds_are_exact() -> None:
    """Envoy takes decimal seconds."""
    assert [envoy.seconds(value) for value in (2, 0.1, 2.3, 10, 60.0, 0.025)] == [
        *("2s", "0.1s", "2.3s", "10s", "60s", "0.025s")
    ]


def test_each_sidecar_has_a_port_of_its_own() -> None:
    """Default ports do not collide."""
    ports = envoy.default_ports()
    assert len(set(ports.values())) == len(ports)


def test_certificates_are_watched_where_they_are_swapped() -> None:
    """The watched folder holds the link `current`, and every file is read through it."""
    text = envoy.dump(certificates.mutual("users", Addresses(certs_dir="/c"), ["auth"]))
    for name in certificates.secrets("", "", ""):
        assert f"path: /c/users/current/{name}\n" in text
    assert text.count("watched_directory:\n") == text.count("path: /c/users\n") == 2
