"""What workers tell each other of the credentials in use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tidegate.enforcement.keyring import Keyring
from tidegate.gateway.values import FleetValues, handlers
from tidegate.model.resource import Address, Resource

SHOP = Resource("shop", "any", Address("127.0.0.1", 1))


class Workers:
    """Workers 1 to 3 of a crew, each with a keyring at the end of its line."""

    def __init__(self) -> None:
        self.values = FleetValues(self)  # type: ignore[arg-type]
        self.keyrings: dict[int, Keyring] = {}
        self.workers: dict[int, Any] = {}

    def start(self, number: int) -> Keyring:
        """Another worker joins."""
        keyring = Keyring(SimpleNamespace(), lambda sid: None)  # type: ignore[arg-type]
        worker = SimpleNamespace(number=number)
        up = SimpleNamespace(tell=lambda what, **words: self.values.handlers(worker)[what](words))  # type: ignore[arg-type]
        heard = handlers(up, keyring)  # type: ignore[arg-type]
        worker.line = SimpleNamespace(tell=lambda what, **words: heard[what](words))
        self.values.join(worker)  # type: ignore[arg-type]
        self.keyrings[number], self.workers[number] = keyring, worker
        return keyring

    def tell(self, what: str, *, but: Any, **words: object) -> None:
        """As a crew passes things on."""
        for worker in self.workers.values():
            if worker is not but:
                worker.line.tell(what, **words)


def test_everybody_knows_what_anybody_uses() -> None:
    """Who is there hears at once, who joins hears then, and what a lost worker used is forgotten."""
    crew = Workers()
    one, two = crew.start(1), crew.start(2)
    one.told("shop", ("password-one",))
    two.told("shop", ("password-two",))
    three = crew.start(3)
    assert two.known(SHOP).values == ("password-one",)
    assert one.known(SHOP).values == ("password-two",)
    assert three.known(SHOP).values == ("password-one", "password-two")
    crew.values.left(crew.workers.pop(1))
    assert two.known(SHOP).values == ()
    assert three.known(SHOP).values == ("password-two",)
    assert crew.start(1).known(SHOP).values == ("password-two",)
