"""Commitments, sealed records and who opens them."""

from __future__ import annotations

import json
import os
import uuid
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.audit.seal import (
    Recipients,
    Vault,
    check_opening,
    open_vault,
    read_record,
    read_records,
)
from tidegate.audit.sealed import SealedStore
from tidegate.errors import ConfigError, IntegrityError

SID = uuid.UUID("01900000-0000-7000-8000-000000000001")


@pytest.fixture
def vault(tmp_path: Path, recipients: Recipients) -> Vault:
    return Vault.create(tmp_path / "keys", SID, recipients)


def keep(directory: Path, *records: bytes) -> None:
    store = SealedStore(directory / "sealed" / "2026")
    store.append(records)
    store.sync()


def test_an_opening_reads_back_and_matches_its_commitment(
    tmp_path: Path, vault: Vault, auditor: pyrage.x25519.Identity
) -> None:
    """Salt and plaintext from the store open the leaf's commitment."""
    commitment, record = vault.commit(7, "stmt", b"select 1")
    keep(tmp_path, vault.commit(6, "stmt", b"other")[1], record)
    salt, plaintext = open_vault(tmp_path, SID, str(auditor)).opening(7, "stmt")
    assert plaintext == b"select 1" and commitment == sha256(salt + plaintext).digest()
    assert check_opening(b64encode(commitment).decode(), salt, plaintext)
    assert not check_opening(b64encode(commitment).decode(), salt, b"select 2")


def test_only_auditors_open_the_upstream_track(
    tmp_path: Path, vault: Vault, auditor: pyrage.x25519.Identity, replay: pyrage.x25519.Identity
) -> None:
    """The replay service has the agent's key and not the upstream's."""
    for identity in (auditor, replay):
        assert open_vault(tmp_path, SID, str(identity)).frame_key("agent") == vault.frame_key("agent")
    assert open_vault(tmp_path, SID, str(auditor)).frame_key("upstream") == vault.frame_key("upstream")
    with pytest.raises(ConfigError, match="upstream"):
        open_vault(tmp_path, SID, str(replay)).frame_key("upstream")


def test_a_stranger_opens_nothing(tmp_path: Path, vault: Vault) -> None:
    """An identity that is no recipient, or none at all, is refused."""
    with pytest.raises(ConfigError, match="does not open"):
        open_vault(tmp_path, SID, str(pyrage.x25519.Identity.generate()))
    with pytest.raises(ConfigError, match="not an age"):
        open_vault(tmp_path, SID, "secret")


def test_what_was_erased_says_so(tmp_path: Path, vault: Vault, auditor: pyrage.x25519.Identity) -> None:
    """Without record or key files there is an error, not an empty opening."""
    with pytest.raises(IntegrityError, match="no stmt for leaf 1"):
        open_vault(tmp_path, SID, str(auditor)).opening(1, "stmt")
    with pytest.raises(IntegrityError, match="no keys"):
        open_vault(tmp_path, uuid.uuid4(), str(auditor))


def test_an_altered_record_does_not_open(tmp_path: Path, vault: Vault, auditor: pyrage.x25519.Identity) -> None:
    """The ciphertext is authenticated together with its place."""
    record = bytearray(vault.commit(1, "stmt", b"select 1")[1])
    record[-1] ^= 1
    keep(tmp_path, bytes(record))
    with pytest.raises(IntegrityError, match="altered"):
        open_vault(tmp_path, SID, str(auditor)).opening(1, "stmt")


def test_key_files_are_for_the_gateway_only(tmp_path: Path, vault: Vault) -> None:
    """Wrapped keys are files of mode 0600."""
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {f"{SID}.agent.age", f"{SID}.upstream.age"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "keys").iterdir())


def test_every_opening_has_keys_of_its_own(vault: Vault) -> None:
    """The same text at another leaf or compartment has another commitment and ciphertext."""
    places = [(1, "stmt"), (2, "stmt"), (1, "why"), (11, "stmt")]
    results = [vault.commit(index, compartment, b"same") for index, compartment in places]
    assert len({commitment for commitment, _ in results}) == len({record[-20:] for _, record in results}) == 4


@pytest.mark.parametrize("recipients", [Recipients((), ()), Recipients((), ("age1nonsense",))])
def test_keys_are_not_made_for_nobody(tmp_path: Path, recipients: Recipients) -> None:
    """Without an auditor who can open it, nothing is sealed."""
    with pytest.raises(ConfigError):
        Vault.create(tmp_path, SID, recipients)


@given(st.binary(max_size=200))
def test_garbage_is_no_record(data: bytes) -> None:
    """Whatever a sealed file holds, reading gives records or nothing."""
    assert all(record.header in data for record in read_records(data))
    with pytest.raises(ValueError):
        read_record(b"X" + data)


def test_the_published_vector_opens(tmp_path: Path) -> None:
    """Salt, commitment and ciphertext follow from the key as the specification says."""
    vector = json.loads((Path(__file__).parents[2] / "vectors" / "seal.json").read_text())
    vault = Vault(uuid.UUID(vector["sid"]), {"agent": bytes.fromhex(vector["key"]), "upstream": bytes(32)})
    commitment, record = vault.commit(vector["index"], vector["compartment"], vector["plaintext"].encode())
    assert (commitment.hex(), record.hex()) == (vector["commitment"], vector["record"])
    assert vault.frame_key("agent").hex() == vector["agent_frame_key"]


def test_restoring_writes_the_end_of_a_file_again(tmp_path: Path, vault: Vault) -> None:
    """From the first leaf that the write-ahead log holds on, the file is what the log says."""
    records = [vault.commit(index, "stmt", os.urandom(9))[1] for index in range(6)]
    keep(tmp_path, *records[:4])
    path = tmp_path / "sealed" / "2026" / f"{SID}.seal"
    path.write_bytes(path.read_bytes()[:-5] + b"torn and garbled")
    SealedStore(path.parent).restore(records[2:], 2)
    assert path.read_bytes() == b"".join(records)


def test_more_sessions_than_open_files(tmp_path: Path, recipients: Recipients) -> None:
    """Files are opened again when their turn comes; nothing is lost between."""
    store = SealedStore(tmp_path)
    vaults = [Vault(uuid.UUID(int=n), {"agent": bytes(32), "upstream": bytes(32)}) for n in range(100)]
    for index in range(2):
        for vault in vaults:
            store.append([vault.commit(index, "stmt", b"x")[1]])
    store.sync()
    store.close()
    assert all([r.index for r in read_records(path.read_bytes())] == [0, 1] for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 100
