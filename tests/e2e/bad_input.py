#!/usr/bin/env python3
"""Every bad record that picket must survive, and what must become of each.

    bad_input.py FOLDER     writes FOLDER/NAME for each, and on standard output a line for each:
                            NAME STORED QUARANTINED REASON FLAG AS_A_FILE

FLAG is the quality flag of the stored event, or -. AS_A_FILE is "STORED,QUARANTINED" of the same bytes
as a file, where lines and not messages are the unit ("-": not a case for files). A name that
begins with "tombstone" has no value at all, which a file cannot say.
"""
import os
import sys

MEBI = 1 << 20
RECORDS_MAX = 65_536  # of one message; what comes behind them is quarantined as one piece


def cases():
    """(name, bytes, stored, reason or None, flag, (stored, quarantined) as a file or None)"""
    deep, wide = 100_000, 100_000
    big = 10_000_000
    yield "truncated", b'{"user.id": "u1", "message": "cut of', 0, "not_json", None, (0, 1)
    yield "truncated_nested", b'{"a": {"b": [1, 2, {"c": ', 0, "not_json", None, (0, 1)
    yield "not_utf8", b'{"message": "caf\xe9 \xff"}', 0, "not_utf8", None, (0, 1)
    yield "utf8_surrogate", b'{"message": "\xed\xa0\x80"}', 0, "not_utf8", None, (0, 1)
    yield "nul_in_key", b'{"us\\u0000er": 1, "message": "x"}', 1, None, "bad_name", (1, 0)
    yield "raw_nul_in_key", b'{"us\x00er": 1}', 0, "not_json", None, (0, 1)
    yield "deep_objects", b'{"a":' * deep + b"1" + b"}" * deep, 1, None, "depth", (1, 0)
    yield "deep_arrays", b'{"a":' + b"[" * deep + b"]" * deep + b"}", 1, None, "depth", (1, 0)
    yield "deep_open", b"[" * deep, 0, "not_json", None, (0, 1)
    many = ",".join(f'"key{number}": {number}' for number in range(wide))
    kept = f'{{{many}, "user.id": "u1"}}'.encode()
    yield "many_keys", kept, 1, None, "fields_truncated", (1, 0)
    large = b'{"message": "' + b"x" * big + b'"}'
    yield "large", large, 1, None, "value_truncated", (1, 0)
    yield "too_large", b'{"message": "' + b"x" * (17 * MEBI) + b'"}', 0, "too_large", None, (0, 1)
    yield "nan", b'{"value": NaN}', 0, "not_json", None, (0, 1)
    yield "infinity", b'{"value": -Infinity}', 0, "not_json", None, (0, 1)
    yield "huge_number", b'{"value": 123456789012345678901234567890}', 1, None, None, (1, 0)
    yield "huge_exponent", b'{"value": 1e999999}', 1, None, None, (1, 0)
    yield "empty", b"", 0, "empty", None, (0, 0)
    yield "blank", b" \t\r\n ", 0, "empty", None, (0, 0)
    yield "tombstone", None, 0, "tombstone", None, None
    yield "binary", bytes(range(256)) * 16, 0, "binary", None, None
    yield "protobuf", b"\x0a\x1f\x08\x96\x01\x12\x07testing\x00\x00", 0, "binary", None, None
    yield "scalar", b"42", 0, "not_an_object", None, (0, 1)
    yield "text", b"just a line of text", 0, "not_json", None, (0, 1)
    yield "empty_array", b"[]", 0, "empty", None, None
    twice = b'{"user.id": "root", "user.id": "guest", "message": "x"}'
    yield "key_twice", twice, 1, None, "duplicate_key", (1, 0)
    yield "forged", b'{"picket.bound.tenant": "acme", "message": "x"}', 1, None, "provenance", (1, 0)
    array = b'[{"message": "a"}, {"message": "b"}, {"message": "c"}]'
    yield "array", array, 3, None, None, (3, 0)
    yield "broken_array", b'[{"message": "a"}, {"message": ]', 0, "not_json", None, (1, 1)
    lines = b'{"message": "a"}\n{"message": \n{"message": "c"}\n'
    yield "broken_line", lines, 2, "not_json", None, (2, 1)
    flood = b"[" + b",".join([b"{}"] * (RECORDS_MAX + 4)) + b"]"
    yield "too_many", flood, RECORDS_MAX, "too_many_records", None, None
    yield "control", b'{"message": "\x1b[2J\x07"}', 0, "not_json", None, (0, 1)
    escape = '{"message": "\\u001b]0;owned\\u0007\\u001b[2J", "user.id": "\\u202eevil"}'
    yield "terminal", escape.encode(), 1, None, None, (1, 0)
    yield "bom", b'\xef\xbb\xbf{"message": "x"}', 1, None, None, (1, 0)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, value, stored, reason, flag, file in cases():
        path = os.path.join(folder, name)
        if value is not None:
            with open(path, "wb") as out:
                out.write(value)
        in_file = "-" if file is None else f"{file[0]},{file[1]}"
        quarantined = 0 if reason is None else 1
        print(name, stored, quarantined, reason or "-", flag or "-", in_file)


if __name__ == "__main__":
    main()
