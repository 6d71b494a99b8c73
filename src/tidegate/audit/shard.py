"""One shard of the log on disk: bundles, tiles and the checkpoint, as C2SP tlog-tiles lays them out.

Bundles and tiles are written when a checkpoint needs them, full and partial ones. Invariants: a checkpoint is published
only when everything below it is synced; ``fresh`` holds every entry that is in no full bundle on disk yet. ``fresh``
gains entries on the thread that appends and loses them on the one that seals; the rest belongs to whoever holds the
writer's lock, except ``sealed``, a frozen value that is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.errors import IntegrityError

from .checkpoint import Checkpoint, LogKey, open_checkpoint
from .files import make_directory, sync_directories, write_file
from .tiles import WIDTH, Edge, Tile, bundle, fold, hashes, tile_path, unbundle
from .tree import inclusion_proof, leaf_hash


@dataclass(frozen=True, slots=True)
class Sealed:
    """The latest checkpoint: its note, and the edge of the tree it signs."""

    note: bytes = b""
    edge: Edge = field(default_factory=Edge)


class Shard:
    """The files of one shard, signed with ``key``."""

    def __init__(self, directory: Path, key: LogKey) -> None:
        make_directory(directory)
        self.fresh: dict[int, bytes] = {}
        self.sealed = Sealed()
        self._directory = directory
        self._key = key
        self._edge = Edge()
        self._filled: list[Tile] = []
        self._unsynced: list[Path] = []

    @property
    def size(self) -> int:
        """Leaves in the tree so far, sealed or not."""
        return self._edge.size

    def load(self) -> None:
        """Take up the tree where the checkpoint on disk left it.

        Raises IntegrityError (status 65) when the checkpoint does not hold or the files do not lead to its root.
        """
        path = self._directory / "checkpoint"
        if not path.exists():
            return
        note = path.read_bytes()
        checkpoint = open_checkpoint(note, self._key.verifier)
        edge = Edge(checkpoint.size)
        for level in range((checkpoint.size.bit_length() + 7) // 8):
            count = checkpoint.size >> (8 * level)
            number, width = divmod(count, WIDTH)
            edge.levels.append(hashes(self._read(tile_path(level, number, width))) if width else [])
        if checkpoint.origin != self._key.name or edge.root() != checkpoint.root:
            raise IntegrityError("The tiles do not lead to the root that the checkpoint signs.", hint=_RESTORE)
        self._edge, self.sealed = edge, Sealed(note, edge.copy())
        self._load_partial_bundle(edge)

    def take(self, digests: Sequence[bytes]) -> None:
        """Extend the tree by the next leaves, whose entries are in ``fresh``."""
        at = self._edge.extend(digests)
        while at < len(digests):
            self._filled += self._edge.add(digests[at])
            at += 1 + self._edge.extend(digests[at + 1 :])

    def _write_filled(self) -> None:
        for tile in self._filled:
            self._write(tile.path, b"".join(tile.row))
            if tile.level == 0:
                indices = range(tile.number * WIDTH, (tile.number + 1) * WIDTH)
                self._write(tile_path("entries", tile.number), bundle([self.fresh[index] for index in indices]))
                for index in indices:
                    del self.fresh[index]
        self._filled.clear()

    def seal(self) -> None:
        """Publish a checkpoint over the tree so far, which the caller knows to be durable. Raises OSError."""
        if self.size == self.sealed.edge.size:
            return
        self._write_filled()
        edge = self._edge.copy()
        for tile in edge.partial():
            self._write(tile.path, b"".join(tile.row))
        if width := edge.size % WIDTH:
            first = edge.size - width
            entries = [self.fresh[index] for index in range(first, edge.size)]
            self._write(tile_path("entries", first // WIDTH, width), bundle(entries))
        sync_directories(self._directory, self._unsynced)
        self._unsynced.clear()
        note = self._key.sign(Checkpoint(self._key.name, edge.size, edge.root()).text)
        write_file(self._directory / "checkpoint", note)
        sync_directories(self._directory, [self._directory / "checkpoint"])
        before, self.sealed = self.sealed, Sealed(note, edge)
        self._prune(before.edge.size, edge.size)

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries of leaves ``start`` to ``stop``. Raises IntegrityError when they cannot be read."""
        number, held = -1, []
        for index in range(start, stop):
            entry = self.fresh.get(index)
            if entry is None:
                if number != index // WIDTH:
                    number = index // WIDTH
                    held = self._bundle(number, WIDTH)
                entry = held[index % WIDTH]
            yield entry

    def proof(self, index: int) -> list[bytes]:
        """The inclusion proof of a leaf under the latest checkpoint. Raises ValueError when it is not sealed yet."""
        edge = self.sealed.edge

        def node(height: int, position: int) -> bytes:
            level, depth = divmod(height, 8)
            number, first = divmod(position << depth, WIDTH)
            if number == edge.size >> (8 * level + 8):
                return edge.node(height, position)
            return fold(hashes(self._read(tile_path(level, number)))[first : first + (1 << depth)])

        return inclusion_proof(index, edge.size, node)

    def _load_partial_bundle(self, edge: Edge) -> None:
        """Bring the entries that no full bundle holds back into ``fresh``, compared with their hashes."""
        number, width = divmod(edge.size, WIDTH)
        if not width:
            return
        entries = self._bundle(number, width)
        if [leaf_hash(entry) for entry in entries] != edge.levels[0]:
            raise IntegrityError(
                f"The entries of bundle {number} do not have the hashes of tile {number}.", hint=_RESTORE
            )
        self.fresh.update(enumerate(entries, number * WIDTH))

    def _bundle(self, number: int, width: int) -> list[bytes]:
        try:
            entries = unbundle(self._read(tile_path("entries", number, width)))
        except ValueError:
            entries = []
        if len(entries) != width:
            raise IntegrityError(f"Bundle {number} does not hold its {width} entries.", hint=_RESTORE)
        return entries

    def _read(self, path: str) -> bytes:
        try:
            return (self._directory / path).read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"{path} is missing.", hint=_RESTORE) from None

    def _write(self, path: str, data: bytes) -> None:
        write_file(self._directory / path, data)
        self._unsynced.append(self._directory / path)

    def _prune(self, old: int, new: int) -> None:
        """Delete partial files that the checkpoint at ``new`` leaves needs no more."""
        for level in ("entries", *range(8)):
            shift = 0 if level == "entries" else 8 * int(level)
            if not new >> shift:
                break
            kept = self._directory / tile_path(level, new >> (shift + 8), (new >> shift) % WIDTH)
            for number in range(old >> (shift + 8), (new >> (shift + 8)) + 1):
                directory = (self._directory / tile_path(level, number, 1)).parent
                for path in directory.glob("*"):
                    if path != kept:
                        path.unlink()
                if directory.exists() and kept.parent != directory:
                    directory.rmdir()


_RESTORE = "Run `tidegate audit verify` on a copy; restore the log directory from a copy that verifies."
