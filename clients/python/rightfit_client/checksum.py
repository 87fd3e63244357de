"""What a CRC-32 says about a single bit that flipped: which one.

CRC-32 is linear: the checksums of two contents differ by what follows from where the contents differ alone. No two
single bits give the same difference, so the difference names the bit. That another, larger damage looks like a single
bit happens once in four thousand million times the number of bits; what it would give is hardly a record either.

Source: Peterson and Brown, Cyclic Codes for Error Detection, 1961.
"""

from zlib import crc32

_ONE_BYTE = [crc32(bytes([byte])) ^ crc32(b"\0") for byte in range(256)]
"""How the checksum changes with the last byte."""


def put_right(content: bytes, crc: int) -> bytes | None:
    """Return what was written, by its checksum: `content`, or that with one bit flipped; None where it is neither."""
    difference = crc32(content) ^ crc
    if difference.bit_count() <= 1:
        # Nothing has flipped, or a bit of the checksum itself.
        return content
    changes = [_ONE_BYTE[1 << bit] for bit in range(8)]
    for place in range(len(content) - 1, -1, -1):
        if difference in changes:
            byte = content[place] ^ 1 << changes.index(difference)
            return content[:place] + bytes([byte]) + content[place + 1 :]
        changes = [_ONE_BYTE[change & 0xFF] ^ change >> 8 for change in changes]
    return None
