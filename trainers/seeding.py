"""Seeds for torch's generators, one for each purpose of a run."""

import hashlib


def seed(run_seed: int, purpose: str, number: int = 0) -> int:
    """Derive a seed in [0, 2**63) for torch's generator from a run's seed, a purpose and a number."""
    digest = hashlib.blake2b(f"{run_seed} {purpose} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
