"""docs/stream.md: seeds and keys, which end in the state of a generator."""

import hashlib

WORD, WIDE = 2**32, 2**128


def words_of(number):
    """The 32-bit words of an integer, the low one first; those of 0 are one."""
    words = [number % WORD]
    while number := number // WORD:
        words.append(number % WORD)
    return words


def all_words(numbers):
    return [word for number in numbers for word in words_of(number)]


def hasher(constant, multiplier):
    """The function that scrambles words, each with the next constant."""

    def scramble(word):
        nonlocal constant
        word ^= constant
        constant = constant * multiplier % WORD
        word = word * constant % WORD
        return word ^ word >> 16

    return scramble


def mixed(x, y):
    z = (0xCA01F9DD * x - 0x4973F715 * y) % WORD
    return z ^ z >> 16


def pool_of(entropy, spawn_key, size):
    words, key = all_words(entropy), all_words(spawn_key)
    if key:
        words += [0] * (size - len(words))
    words += key
    scramble = hasher(0x43B0D7E5, 0x931E8875)
    pool = [scramble(word) for word in (words + [0] * size)[:size]]
    for source in range(size):
        for target in range(size):
            if source != target:
                pool[target] = mixed(pool[target], scramble(pool[source]))
    for word in words[size:]:
        for target in range(size):
            pool[target] = mixed(pool[target], scramble(word))
    return pool


def seed_words(entropy, spawn_key=(), pool_size=4, n=8):
    """n words of the seed sequence."""
    pool = pool_of(entropy, spawn_key, pool_size)
    scramble = hasher(0x8B51F9DD, 0x58F38DED)
    return [scramble(pool[i % pool_size]) for i in range(n)]


def seeded(bit_generator, entropy, spawn_key=(), pool_size=4):
    """s[0] and c of a generator."""
    words = seed_words(entropy, spawn_key, pool_size)
    w = [low + WORD * high for low, high in zip(words[::2], words[1::2], strict=True)]
    c = ((w[2] * 2**64 + w[3]) * 2 + 1) % WIDE
    multiplier = 0x2360ED051FC65DA44385DF649FCCF645
    s = ((c + w[0] * 2**64 + w[1]) * multiplier + c) % WIDE
    return s, c


def bytes_of(number):
    """Little endian, signed, in the fewest bytes that hold it; one for zero."""
    size = 1
    while not -(2 ** (8 * size - 1)) <= number < 2 ** (8 * size - 1):
        size += 1
    return number.to_bytes(size, "little", signed=True)


def key_words(key):
    """The four words that a key adds to the spawn key."""
    data = b"s" + key.encode() if isinstance(key, str) else b"i" + bytes_of(key)
    digest = hashlib.blake2b(data, digest_size=16, person=b"fastinit-v1").digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
