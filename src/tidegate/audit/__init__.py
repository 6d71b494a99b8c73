"""The audit log: write-ahead log, Merkle tree, checkpoints, sealed openings, offline verification."""
