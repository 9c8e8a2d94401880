"""Changes bytes and texts at random, towards what parsers stumble over."""

import random
import re

TOKENS = (
    *(b"0", b"-1", b"1e999", b"nan", b".inf", b"2147483648", b"9223372036854775808", b"-0.0"),
    *(b"null", b"[]", b"{}", b"[[[[", b"}}}", b"&a [*a]", b"<<: *a", b"!!python/name:os.system"),
    *(b"\x00", b"\x1b[2J", b"\xff\xfe", "\u202e".encode(), b"\xed\xa0\x80", b"../../x", b"~", b"@"),
    *(b"choice: ", b"low: 1", b"n0", b"label -> any", b"resnet8", b"x" * 300, b"9" * 5000),
)


def mutate(content: bytes, dice: random.Random) -> bytes:
    """Return content with one to four changes of random kinds at random places."""
    for _ in range(dice.randint(1, 4)):
        start = dice.randrange(len(content) + 1)
        end = min(len(content), start + dice.choice((1, 2, 4, 16, 200)))
        piece = dice.choice(
            (
                b"",
                content[start:end] * dice.randint(2, 9),
                dice.choice(TOKENS),
                dice.randbytes(end - start),
                dice.choice((b"\xff", b"\x00", b"\x7f")) * (end - start),
            )
        )
        content = content[:start] + piece + content[end:]
        if dice.random() < 0.1:
            content = content[: dice.randrange(len(content) + 1)]
    return content


def mutate_text(content: bytes, dice: random.Random) -> bytes:
    """Return text in which one to three words or signs were replaced, repeated, moved or dropped.

    One in eight is mutated as bytes, which mostly makes it no text at all.
    """
    if dice.random() < 0.125:
        return mutate(content, dice)
    parts = re.findall(rb"\w+|\s+|[^\w\s]", content)
    for _ in range(dice.randint(1, 3)):
        place, other = dice.randrange(len(parts)), dice.randrange(len(parts))
        part = parts[place]
        parts[place] = dice.choice((b"", part * 2, parts[other], dice.choice(TOKENS), part[::-1]))
    return b"".join(parts)
