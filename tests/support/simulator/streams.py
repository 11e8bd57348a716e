"""Random numbers: independent streams by name, and the few distributions that the company's days are made of."""

import hashlib
import math
import random


def stream(seed: int, *names: str) -> random.Random:
    """The stream of this name: the same on every machine, and independent of all other names.

    >>> stream(1, "a").random() == stream(1, "a").random()
    True
    >>> stream(1, "a").random() == stream(1, "b").random()
    False
    """
    digest = hashlib.blake2b("\x1f".join((str(seed), *names)).encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson count of the given mean (Knuth's product of uniforms, halved while the mean is large)."""
    if mean > 30:
        return poisson(rng, mean / 2) + poisson(rng, mean / 2)
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def lognormal(rng: random.Random, median: float, sigma: float = 0.6) -> float:
    """A lognormal draw by its median; `sigma` is the standard deviation of the logarithm."""
    return median * math.exp(rng.normalvariate(0.0, sigma))


def volume(rng: random.Random, median: float, sigma: float = 0.6) -> int:
    """A lognormal count of bytes or records, at least 1."""
    return max(1, round(lognormal(rng, median, sigma)))


def tail_rank(rng: random.Random, exponent: float, limit: int = 100_000) -> int:
    """A rank from 0 with a power-law tail: mostly the first few, and new ones for ever.

    A smaller `exponent` has the longer tail.
    """
    return min(int(rng.paretovariate(exponent)) - 1, limit)


def token(rng: random.Random, digits: int = 16) -> str:
    """An opaque id of hexadecimal digits."""
    return f"{rng.getrandbits(digits * 4):0{digits}x}"
