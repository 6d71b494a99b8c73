"""tidegate.yaml: what it becomes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.model.resource import Address, Field
from tidegate.settings import Settings, load, loopback, resolve
from tidegate.settings_workloads import Workload

BASIC = f"""\
organisation: example.org
gateway: gw1
policy: {{files: [policy.yaml]}}
recording: {{auditors: [age1{"q" * 58}]}}
"""
SHOP = BASIC + "resources:\n  shop: {protocol: any, address: 127.0.0.1:5432%s}\n"
Load = Callable[[str], Settings]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Settings from text."""

    def build(content: str) -> Settings:
        path = tmp_path / "tidegate.yaml"
        path.write_text(content)
        return load(path)

    return build


def test_defaults(loaded: Load, tmp_path: Path) -> None:
    """What is left out has a safe value; paths are absolute."""
    settings = loaded(BASIC)
    assert (settings.data, settings.api, settings.tls) == (tmp_path / "data", Address("127.0.0.1", 7443), None)
    assert (settings.limits.message, settings.limits.session, settings.audit.segment) == (2**20, 28_800, 2**26)
    assert settings.policy.files == (tmp_path / "policy.yaml",)


def test_a_resource(loaded: Load, tmp_path: Path) -> None:
    """Addresses, labels, tags and the authority's file become the model's resource."""
    more = ", ca: ca.pem, tls: require, direct_tls: true, replication: true"
    more += ", labels: {env: prod}, tags: {pii.email: [public.c.email], x: [s.t.*]}"
    shop = loaded(SHOP % more).resources["shop"]
    assert (shop.ca, shop.labels) == (str(tmp_path / "ca.pem"), {"env": "prod"})
    assert (shop.direct_tls, shop.replication) == (True, True)
    assert shop.tags == {Field("public.c", "email"): "pii.email", Field("s.t", "*"): "x"}


def test_an_upstream_elsewhere_is_verified(loaded: Load) -> None:
    """Only loopback is plaintext unless the file says so."""
    assert loaded(SHOP % "").resources["shop"].tls == "disable"
    assert loaded(SHOP.replace("127.0.0.1:5432", "db.example.org:5432") % "").resources["shop"].tls == "verify-full"


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (BASIC + "lisen: {}\n", 5, 'did you mean "listen"?'),
        (BASIC + "api: nowhere\n", 5, "must be an address"),
        (BASIC + "api: 0.0.0.0:7443\n", 5, "must be on loopback"),
        (BASIC + "api: 127.0.0.1:70000\n", 5, "must be an address"),
        (BASIC + "limits:\n  idle: 10\n", 6, "must be a duration"),
        (BASIC + "limits:\n  sessions: true\n", 6, "must be a whole number"),
        (BASIC + "limits:\n  sesions: 5\n", 6, 'did you mean "sessions"?'),
        (BASIC + "audit: {segment: 64MB}\n", 5, "must be a size"),
        (BASIC + "tls: {certificate: a.crt, key: a.key}\n", 5, "write file:PATH"),
        (BASIC + "listen: {any: 127.0.0.1:7443}\n", 5, "taken by api"),
        (BASIC.replace("gw1", "GW 1"), 2, "lower-case"),
        (BASIC.replace("age1", "AGE-SECRET-KEY-1"), 4, "age recipient"),
        (BASIC.replace("[policy.yaml]", "[policy.yaml], activation: nobody"), 3, "must be one of single-person"),
        (SHOP % ", secret: hunter2", 6, "write env:NAME, file:PATH"),
        (SHOP % ", ca: ca.pem, tls: disable", 6, "means nothing"),
        (SHOP % ", direct_tls: true", 6, "means nothing"),
        (SHOP % ", replication: 1", 6, "replication"),
        (SHOP % ", tags: {pii.email: [email]}", 6, "must be a field"),
        (SHOP % ", tags: {a: [s.t.c], b: [s.t.c]}", 6, "has a tag already"),
        (SHOP.replace("shop:", "tidegate:") % "", 6, "is the gateway"),
        (SHOP.replace("shop:", "Shop:") % "", 6, "lower-case"),
    ],
)
def test_faults_name_the_line_and_what_to_write(loaded: Load, content: str, line: int, says: str) -> None:
    """Unknown keys, wrong values, literal secrets, clashes."""
    with pytest.raises(ConfigError) as error:
        loaded(content)
    assert error.value.path.endswith(f"tidegate.yaml:{line}")
    assert says in error.value.message
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("key", ["organisation", "gateway", "policy", "recording"])
def test_what_must_be_there(loaded: Load, key: str) -> None:
    """Name, policy and an auditor are not optional."""
    kept = "".join(line for line in BASIC.splitlines(keepends=True) if not line.startswith(key))
    with pytest.raises(ConfigError, match=f"{key}: is missing"):
        loaded(kept)


def test_an_open_private_key_is_refused(loaded: Load, tmp_path: Path) -> None:
    """The certificate's key may be read by nobody else."""
    (tmp_path / "a.key").touch(mode=0o644)
    with pytest.raises(ConfigError, match="open to everybody"):
        loaded(BASIC + "tls: {certificate: a.crt, key: 'file:a.key'}\n")


def private(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_resolve_a_file(tmp_path: Path) -> None:
    """Relative to the settings, without its last newline."""
    private(tmp_path / "pw", b"hunter2\n")
    assert resolve("file:pw", tmp_path) == "hunter2"


def test_resolve_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the gateway's own environment."""
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    assert resolve("env:SHOP_PASSWORD", tmp_path) == "hunter2"


@pytest.mark.parametrize(
    ("data", "mode", "says"),
    [
        (b"hunter2", 0o604, "open to everybody"),
        (b"", 0o600, "empty or not set"),
        (b"hunter2\xff", 0o600, "not text"),
        (b"hunter2" * 20_000, 0o600, "over 64 KiB"),
    ],
)
def test_bad_secret_files_are_refused_without_their_content(tmp_path: Path, data: bytes, mode: int, says: str) -> None:
    """World-readable, empty, binary and huge files; the error never shows the secret."""
    private(tmp_path / "pw", data, mode)
    with pytest.raises(ConfigError, match=says) as error:
        resolve("file:pw", tmp_path)
    assert "hunter2" not in str(error.value) + error.value.hint


@pytest.mark.parametrize("reference", ["hunter2", "env:", "file:", "env:TIDEGATE_TEST_UNSET", "file:absent", "file:."])
def test_bad_references_are_refused(tmp_path: Path, reference: str) -> None:
    """A literal, an unset variable, an absent file, a directory; a literal is never echoed."""
    with pytest.raises(ConfigError) as error:
        resolve(reference, tmp_path)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("db", False)]
)
def test_loopback(host: str, local: bool) -> None:
    """Only this machine's own addresses count."""
    assert loopback(Address(host, 1)) is local


WORKLOADS = BASIC + "workloads:\n  k8s: {issuer: %s, audience: %s}\n"


def test_an_issuer_of_workloads(loaded: Load, tmp_path: Path) -> None:
    """What is left out is found by discovery, with every algorithm; files are absolute."""
    found = loaded(WORKLOADS % ("https://k.example", "tidegate")).workloads["k8s"]
    assert found == Workload("https://k.example", "tidegate", "", "", frozenset())
    assert loaded(WORKLOADS % ("http://127.0.0.1:8/x", "a")).workloads["k8s"].issuer == "http://127.0.0.1:8/x"
    more = "'gw/{resource}', keys: file:keys.json, ca: ca.pem, algorithms: [RS256]"
    found = loaded(WORKLOADS % ("kubernetes/serviceaccount", more)).workloads["k8s"]
    assert found == Workload(
        "kubernetes/serviceaccount", "gw/{resource}", f"file:{tmp_path}/keys.json", f"{tmp_path}/ca.pem", {"RS256"}
    )


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (("http://k.example", "x"), "must begin with https"),
        (("cluster", "x"), "must begin with https"),
        (("file:keys.json", "x"), "must begin with https"),
        (("'https://['", "x"), "must begin with https"),
        (("https://k.example", "x, keys: 'http://k.example/keys'"), "must begin with https"),
        (("https://k.example", "x, keys: keys.json"), "must be an address"),
        (("https://k.example", "'{name}'"), "must be an audience"),
        (("https://k.example", "''"), "must be an audience"),
        (("https://k.example", "x, algorithms: [HS256]"), "HS256|RS256"),
        (("https://k.example", "x, algorithms: [none]"), "RS256"),
        (("https://k.example", "x, algorithms: []"), "must not be empty"),
        (("example.org", "x, keys: file:k.json"), "is another's"),
        (("https://k.example", "x}\n  two: {issuer: https://k.example, audience: y"), "is another's"),
    ],
)
def test_issuers_that_are_refused(loaded: Load, written: tuple[str, str], said: str) -> None:
    """Keys in the clear, secrets as algorithms, an audience that is none, and an issuer that is there twice."""
    with pytest.raises(ConfigError, match=said):
        loaded(WORKLOADS % written)
