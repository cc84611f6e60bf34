"""A permutation of 0 .. n-1 that is computed place by place, in no memory: for n that no list could hold."""

from __future__ import annotations

from hashlib import blake2b

_ROUNDS = 6


class Permutation:
    """A Feistel network over the next power of four, walked along its cycles until it is below n.

    Luby & Rackoff 1988 (four rounds with pseudorandom functions look like a random permutation); cycle walking as in
    Black & Rogaway 2002, Ciphers with Arbitrary Finite Domains, section 4: at most four steps are expected.

    Args:
        n: how many, at least 1.
        key: of the permutation, e.g. from the seed.
    """

    def __init__(self, n: int, key: str) -> None:
        self.n = n
        self._half = max(1, ((n - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._keys = [blake2b(f"{key} {i}".encode(), digest_size=16).digest() for i in range(_ROUNDS)]
        self._bytes = (self._half + 7) // 8

    def __getitem__(self, place: int) -> int:
        """What stands at a place from 0 to n - 1.

        Raises:
            IndexError: no such place.
        """
        if not 0 <= place < self.n:
            raise IndexError(f"place {place} is not between 0 and {self.n - 1}")
        value = self._once(place)
        while value >= self.n:
            value = self._once(value)
        return value

    def _once(self, value: int) -> int:
        left, right = value >> self._half, value & self._mask
        for key in self._keys:
            left, right = right, left ^ self._mixed(right, key)
        return left << self._half | right

    def _mixed(self, value: int, key: bytes) -> int:
        # 64 bytes at a time are enough for spaces of up to 2**1024 architectures
        size = min(64, self._bytes)
        found = blake2b(value.to_bytes(self._bytes, "big"), key=key, digest_size=size).digest()
        return int.from_bytes(found, "big") & self._mask
