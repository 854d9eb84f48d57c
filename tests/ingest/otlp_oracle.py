#!/usr/bin/env python3
"""The OpenTelemetry protocol (protobuf) against a second reader: google.protobuf.

Messages are made from a seed: half are whole, the others are damaged, as bytes (cut, flipped, grown)
and as protobuf (unknown fields, wrong wire types, groups, parts twice, text that is not UTF-8, all
lengths right). Google's reader takes them with the published schema, written down below, not with
otlp.proto; otlp_values says what our decoder makes of them. Both must agree on whether the message
can be read, and on every value of every record, in order.

A whole message must agree without exception. Of a damaged one, RULES names each way in which we
differ on purpose; walk() looks for them in the bytes. A difference without such a reason fails, and
so does a rule that no message needed.

google.protobuf is Debian's python3-protobuf; without it the test says SKIP and counts it.

  tests/ingest/otlp_oracle.py build/dev/otlp_values [MESSAGES [SEED]]
"""
import base64
import collections
import datetime
import json
import math
import os
import random
import struct
import subprocess
import sys

SHOWN = 10
DEPTH_MAX, NAME_MAX = 32, 512  # of ingest/json.h
NULL, BOOLEAN, INTEGER, REAL, STRING, EMPTY = range(6)  # enum value_type

RULES = {
    "outer shape": "only resource_logs at the top and fields 1 to 3 inside, with a record list, is"
    " taken for the protocol: anything looser would take text for it",
    "wrong wire type": "a known field of another type is a broken record; Google's reader takes it"
    " for an unknown field and drops the value",
    "bool of another type": "protobuf-c takes any bytes for a bool: not 0 is true",
    "group": "groups left protobuf before the protocol began: a broken record, not an unknown field",
    "not read": "what we do not read (schema_url, dropped counts, the resource and scope of no"
    " record, values nested too deep) is not checked",
    "given twice": "of two resources or two values the last counts; Google's reader merges those that"
    " nest",
}


def skip(why):
    print(f"SKIP OpenTelemetry oracle: {why}")
    print("oracle: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)


try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
except ImportError:
    if sys.executable != "/usr/bin/python3" and os.access("/usr/bin/python3", os.X_OK):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])  # Debian's own
    skip("no google.protobuf (python3-protobuf)")

# ---- the schema: opentelemetry-proto 1.x, logs, common and resource, as far as logs go

# Name: {number: (name, type)}; a type with * is repeated, AnyValue's fields are a oneof.
SCHEMA = {
    "ExportLogs": {1: ("resource_logs", "ResourceLogs*")},
    "ResourceLogs": {
        1: ("resource", "Resource"), 2: ("scope_logs", "ScopeLogs*"), 3: ("schema_url", "string"),
    },
    "Resource": {1: ("attributes", "KeyValue*"), 2: ("dropped_attributes_count", "uint32")},
    "ScopeLogs": {
        1: ("scope", "Scope"), 2: ("log_records", "LogRecord*"), 3: ("schema_url", "string"),
    },
    "Scope": {
        1: ("name", "string"), 2: ("version", "string"), 3: ("attributes", "KeyValue*"),
        4: ("dropped_attributes_count", "uint32"),
    },
    "LogRecord": {
        1: ("time_unix_nano", "fixed64"), 2: ("severity_number", "int32"),
        3: ("severity_text", "string"), 5: ("body", "AnyValue"), 6: ("attributes", "KeyValue*"),
        7: ("dropped_attributes_count", "uint32"), 8: ("flags", "fixed32"), 9: ("trace_id", "bytes"),
        10: ("span_id", "bytes"), 11: ("observed_time_unix_nano", "fixed64"),
        12: ("event_name", "string"),
    },
    "KeyValue": {1: ("key", "string"), 2: ("value", "AnyValue")},
    "AnyValue": {
        1: ("string_value", "string"), 2: ("bool_value", "bool"), 3: ("int_value", "int64"),
        4: ("double_value", "double"), 5: ("array_value", "ArrayValue"),
        6: ("kvlist_value", "KeyValueList"), 7: ("bytes_value", "bytes"),
    },
    "ArrayValue": {1: ("values", "AnyValue*")},
    "KeyValueList": {1: ("values", "KeyValue*")},
}
WIRE = {"fixed64": 1, "double": 1, "fixed32": 5, "int32": 0, "uint32": 0, "int64": 0, "bool": 0}
LAST = ("resource", "body", "value")  # given again they replace what is there; a scope is merged
UNREAD = ("schema_url", "dropped_attributes_count")


def make_classes():
    """Google's classes of the schema."""
    file = descriptor_pb2.FileDescriptorProto(name="oracle", package="o", syntax="proto3")
    for name, fields in SCHEMA.items():
        made = file.message_type.add(name=name)
        if name == "AnyValue":
            made.oneof_decl.add(name="value")
        for number, (title, kind) in fields.items():
            one = made.field.add(name=title, number=number, label=3 if kind[-1] == "*" else 1)
            kind = kind.rstrip("*")
            if kind in SCHEMA:
                one.type, one.type_name = one.TYPE_MESSAGE, f".o.{kind}"
            else:
                one.type = getattr(one, f"TYPE_{kind.upper()}")
            if name == "AnyValue":
                one.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = [pool.FindMessageTypeByName(f"o.{name}") for name in SCHEMA]
    if hasattr(message_factory, "GetMessageClass"):  # since protobuf 4.22
        return {one.name: message_factory.GetMessageClass(one) for one in found}
    return {one.name: message_factory.MessageFactory(pool).GetPrototype(one) for one in found}


CLASSES = make_classes()

# ---- what must come out: the names and values that ingest/otlp_private.h describes


class Kept:
    """What is too deep to be read: base64 of its bytes, in whatever order they came; any bytes, where
    as_read() has left them out."""

    def __init__(self, held):
        self.held = held

    def __eq__(self, text):
        try:
            data = base64.b64decode(text, validate=True)
            return not self.held.values or type(self.held).FromString(data) == self.held
        except (ValueError, message.DecodeError):
            return False


def put_any(out, name, depth, value):
    which = value.WhichOneof("value")
    held = getattr(value, which) if which else None
    if which == "string_value":
        out.append((name, STRING, held))
    elif which == "bool_value":
        out.append((name, BOOLEAN, held))
    elif which == "int_value":
        out.append((name, INTEGER, held))
    elif which == "double_value":
        limit = sys.float_info.max
        shown = max(-limit, min(limit, held))
        out.append((name, NULL, None) if math.isnan(held) else (name, REAL, shown))
    elif which == "bytes_value":
        out.append((name, STRING, base64.b64encode(held).decode()))
    elif which is None:
        out.append((name, NULL, None))
    elif depth >= DEPTH_MAX:
        out.append((name, STRING, Kept(held)))
    elif which == "kvlist_value":
        put_pairs(out, name, depth, held.values)
        if not held.values and name:
            out.append((name, EMPTY, None))
    else:
        for one in held.values:
            put_any(out, name, depth + 1, one)
        if not held.values:
            out.append((name, EMPTY, None))


def put_pairs(out, name, depth, pairs):
    for pair in pairs:
        inner = f"{name}.{pair.key}" if name else pair.key
        inner = inner.encode()[:NAME_MAX].decode(errors="ignore")
        if pair.HasField("value"):
            put_any(out, inner, depth + 1, pair.value)
        else:
            out.append((inner, NULL, None))


def time_text(nanoseconds):
    seconds, rest = divmod(nanoseconds, 10**9)
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def record_values(record):
    out = []
    for name, held in (("@timestamp", record.time_unix_nano),
                       ("event.created", record.observed_time_unix_nano)):
        if held:
            out.append((name, STRING, time_text(held)))
    if record.severity_text:
        out.append(("log.level", STRING, record.severity_text))
    if record.severity_number:
        out.append(("severity_number", INTEGER, record.severity_number))
    for name, held in (("trace.id", record.trace_id.hex()), ("span.id", record.span_id.hex()),
                       ("event_name", record.event_name)):
        if held:
            out.append((name, STRING, held))
    if record.HasField("body") and record.body.WhichOneof("value") == "kvlist_value":
        put_pairs(out, "", 0, record.body.kvlist_value.values)
    elif record.HasField("body"):
        put_any(out, "body", 0, record.body)
    put_pairs(out, "", 0, record.attributes)
    return out


def expected(data):
    """The values of every record, or None: Google's reader refuses the message."""
    logs = CLASSES["ExportLogs"]()
    try:
        logs.ParseFromString(data)
    except (message.DecodeError, UnicodeDecodeError):  # the latter of the reader in pure Python
        return None
    found = []
    for resource in logs.resource_logs:
        for scope in resource.scope_logs:
            around = []
            put_pairs(around, "", 0, resource.resource.attributes)
            for name in ("name", "version"):
                if getattr(scope.scope, name):
                    around.append((f"scope.{name}", STRING, getattr(scope.scope, name)))
            put_pairs(around, "", 0, scope.scope.attributes)
            found += [(around, record_values(record)) for record in scope.log_records]
    return found


def read_items(items):
    """What otlp_values printed, as expected() has it."""
    read = {BOOLEAN: lambda text: text == "true", INTEGER: int, REAL: float, STRING: str}
    return [(name, kind, read[kind](text) if kind in read else None) for name, kind, text in items]


# ---- protobuf as a tree that can be damaged: [number, wire type, number | bytes | tree]


class Broken(Exception):
    """The bytes are no protobuf."""


def take_varint(data, at, notes):
    value, size = 0, 0
    while True:
        if at + size >= len(data) or size == 10:
            raise Broken
        value |= (data[at + size] & 0x7F) << (7 * size)
        size += 1
        if data[at + size - 1] < 0x80:
            break
    if size > 1 and data[at + size - 1] == 0 or value >= 1 << 64:
        notes.add("long varint")
    return value, at + size


def walk(data, kind, notes):
    """The tree of a message of this kind; notes: the RULES that it gives reason for."""
    tree, seen, at = [], set(), 0
    while at < len(data):
        tag, at = take_varint(data, at, notes)
        number, wire = tag >> 3, tag & 7
        title, held = SCHEMA[kind].get(number, ("", "")) if kind else ("", "")
        if wire == 0:
            value, at = take_varint(data, at, notes)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at:at + size], at + size
        elif wire == 2:
            size, at = take_varint(data, at, notes)
            value, at = data[at:at + size], at + size
        elif wire in (3, 4):
            notes.add("group")
            value = b""
        if wire > 5 or at > len(data):
            raise Broken
        if title and wire != WIRE.get(held, 2):
            notes.add("bool of another type" if held == "bool" else "wrong wire type")
        elif held.rstrip("*") in SCHEMA:
            try:
                value = walk(value, held.rstrip("*"), notes)
            except Broken:
                pass  # it stays bytes
        once = "value" if title and kind == "AnyValue" else title
        if once in seen and (title in LAST or kind == "AnyValue"):
            notes.add("given twice")
        seen.add(once)
        tree.append([number, wire, value])
    return tree


def holds_records(part):
    return part[0] == 2 and isinstance(part[2], list) and any(one[0] == 2 for one in part[2])


def as_read(tree, kind, depth=0):
    """The tree as Google's reader must be given it to read what we read: without what we do not
    read, of parts given twice only the last, a bool always a number."""
    kept, seen = [], set()
    depth += kind in ("KeyValue", "ArrayValue")
    recorded = kind == "ScopeLogs" and any(one[0] == 2 for one in tree)
    recorded = recorded or kind == "ResourceLogs" and any(holds_records(one) for one in tree)
    for number, wire, value in reversed(tree):
        title, held = SCHEMA[kind].get(number, ("", ""))
        once = "value" if title and kind == "AnyValue" else title
        twice = once in seen and (title in LAST or kind == "AnyValue")
        if title in UNREAD or twice or title in ("resource", "scope") and not recorded:
            continue
        seen.add(once)
        if held == "bool" and wire in (1, 2, 5):  # of a part with a length, that counts, too
            wire, value = 0, int(len(value) > 0 if wire == 2 else any(b & 0x7F for b in value))
        if held in ("ArrayValue", "KeyValueList") and depth >= DEPTH_MAX:
            value = b""
        inner = as_read(value, held.rstrip("*"), depth) if isinstance(value, list) else value
        kept.insert(0, [number, wire, inner])
    return kept


def outer_shape(data):
    """Are the two outer levels just what the protocol has?"""
    notes, records = set(), False
    try:
        for number, wire, inside in split(data, notes):
            if number != 1 or wire != 2:
                return False
            parts = split(inside, notes)
            if any(wire != 2 or not 1 <= number <= 3 for number, wire, _ in parts):
                return False
            records = records or any(number == 2 for number, _, _ in parts)
    except Broken:
        return False
    return records and not notes


def split(data, notes):
    return walk(data, None, notes)


def reasons(data, answer, found):
    """The rules that explain the difference."""
    notes, tree = set(), None
    try:
        tree = walk(data, "ExportLogs", notes)
    except Broken:
        pass
    if found.startswith("we refuse"):
        notes &= {"wrong wire type", "group"}
        return notes if outer_shape(data) else notes | {"outer shape"}
    if tree and difference(expected(encode(as_read(tree, "ExportLogs"))), answer) is None:
        return notes & {"given twice", "bool of another type"} or {"not read"}
    return set()


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def encode(tree):
    out = bytearray()
    for number, wire, value in tree:
        value = encode(value) if isinstance(value, list) else value
        out += varint(number << 3 | wire)
        out += varint(value) if wire == 0 else varint(len(value)) + value if wire == 2 else value
    return bytes(out)


# ---- messages

WORDS = ("", "a", "service.name", "user.id", "Grüße", "日本", "\0", "x" * 300, "a.b", "body", "0")
EDGES = (0, 1, -1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63))
REALS = (0.0, -0.0, 1.5, 1e300, 5e-324, math.inf, -math.inf, math.nan, 0.1, 1e15, 2.0**63)


def fill_any(dice, to, depth):
    which = dice.randrange(8 if depth < 5 else 6)
    if which == 0:
        to.string_value = dice.choice(WORDS)
    elif which == 1:
        to.bool_value = dice.random() < 0.5
    elif which == 2:
        to.int_value = dice.choice(EDGES)
    elif which == 3:
        to.double_value = dice.choice(REALS)
    elif which == 4:
        to.bytes_value = dice.randbytes(dice.randrange(9))
    elif which == 6:
        to.array_value.SetInParent()
        for _ in range(dice.randrange(4)):
            fill_any(dice, to.array_value.values.add(), depth + 1)
    elif which == 7:
        to.kvlist_value.SetInParent()
        fill_pairs(dice, to.kvlist_value.values, depth + 1)


def fill_pairs(dice, to, depth=0):
    for _ in range(dice.randrange(4)):
        pair = to.add(key=dice.choice(WORDS))
        if dice.random() < 0.9:
            fill_any(dice, pair.value, depth)


def nest(dice, to):
    """A value that goes as deep as is read, and beyond."""
    for _ in range(dice.randrange(DEPTH_MAX - 3, DEPTH_MAX + 4)):
        if dice.random() < 0.8:  # an array is two messages, a map three; Google's end at 100
            to = to.array_value.values.add()
        else:
            to = to.kvlist_value.values.add(key="k").value
    to.int_value = 7


def fill_record(dice, record):
    record.time_unix_nano = dice.choice((0, 1, 10**9, 1795305601250000000, 2**63, 2**64 - 1))
    record.observed_time_unix_nano = dice.choice((0, 1795305601000000001))
    record.severity_number = dice.choice((0, 9, 24, 25, -1, 2**31 - 1))
    record.severity_text = dice.choice(("", "INFO", "Fehler ü"))
    record.trace_id = dice.randbytes(dice.choice((0, 16, 3)))
    record.span_id = dice.randbytes(dice.choice((0, 8)))
    record.event_name = dice.choice(("", "login"))
    record.flags = dice.choice((0, 1, 2**32 - 1))
    record.dropped_attributes_count = dice.choice((0, 3))
    if dice.random() < 0.8:
        fill_any(dice, record.body, 0)
    fill_pairs(dice, record.attributes)
    if dice.random() < 0.05:
        nest(dice, record.attributes.add(key="deep").value)


def whole(dice):
    logs = CLASSES["ExportLogs"]()
    for _ in range(dice.randrange(1, 3)):
        resource = logs.resource_logs.add(schema_url=dice.choice(("", "https://x.example/1")))
        fill_pairs(dice, resource.resource.attributes)
        for _ in range(dice.randrange(1, 3)):
            scope = resource.scope_logs.add()
            scope.scope.name, scope.scope.version = dice.choice(WORDS), dice.choice(("", "1.2"))
            fill_pairs(dice, scope.scope.attributes)
            for _ in range(dice.randrange(3)):
                fill_record(dice, scope.log_records.add())
    return logs.SerializeToString()


def damage_bytes(dice, data):
    data = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(len(data) + 1)
        how = dice.randrange(4)
        if how == 0:
            del data[at:]
        elif how == 1 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif how == 2:
            data[at:at] = dice.randbytes(dice.randrange(1, 4))
        elif at < len(data):
            data[at] = dice.choice((0, 0x7F, 0x80, 0xFF))
    return bytes(data)


def nodes(tree):
    for part in tree:
        if isinstance(part[2], list):
            yield part[2]
            yield from nodes(part[2])


def unknown_field(dice):
    wire = dice.choice((0, 1, 2, 2, 5))
    number = dice.choice((4, 13, 15, 16, 1000, 2**29 - 1))
    value = {0: dice.choice((0, 300, 2**64 - 1)), 1: dice.randbytes(8), 5: dice.randbytes(4)}
    return [number, wire, value.get(wire, dice.randbytes(dice.randrange(6)))]


def damage_tree(dice, data):
    """Damage with all lengths right: one part of one message becomes another."""
    tree = walk(data, "ExportLogs", set())
    places = [one for one in nodes(tree) if one] or [tree]
    for _ in range(dice.choice((1, 1, 3))):
        parts = dice.choice(places)
        at = dice.randrange(len(parts))
        how = dice.randrange(6)
        if how <= 1:
            parts.insert(at, unknown_field(dice))
        elif how == 2:
            parts.insert(dice.randrange(len(parts)), parts[at])
        elif how == 3:
            parts[at] = [parts[at][0], *unknown_field(dice)[1:]]
        elif how == 4 and parts[at][1] == 2:
            parts[at] = [parts[at][0], 2, dice.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b""))]
        else:
            number = dice.choice((4, 9, 20))
            parts[at:at] = [[number, 3, b""], [number, 4, b""]]
    return encode(tree)


def make(dice, count):
    """(data, is it whole?)"""
    for i in range(count):
        data = whole(dice)
        damage = (None, damage_bytes, None, damage_tree)[i % 4]
        yield (damage(dice, data), False) if damage else (data, True)


# ---- the comparison


def difference(wanted, answer):
    """What the two do not agree on, or None."""
    refused = isinstance(answer, str) or any(record[0] for record in answer)
    if wanted is None:
        return None if refused else "Google's reader refuses the message, we do not"
    if isinstance(answer, str):
        return f"we refuse the message: {answer}"
    if refused:
        return f"we refuse {[record[0] for record in answer]}"
    if len(wanted) != len(answer):
        return f"{len(wanted)} records, we have {len(answer)}"
    for i, (values, record) in enumerate(zip(wanted, answer)):
        for mine, theirs in zip(values, record[1:]):
            if mine != read_items(theirs):
                return f"record {i}: {mine}, we have {read_items(theirs)}"
    return None


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    made = list(make(random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 20261122), count))
    asked = b"".join(struct.pack("<I", len(data)) + data for data, _ in made)
    done = subprocess.run([sys.argv[1]], input=asked, stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
    assert len(answers) == len(made)
    counted, used, failed = collections.Counter(), collections.Counter(), 0
    for (data, is_whole), answer in zip(made, answers):
        wanted = expected(data)
        counted["records compared"] += len(wanted or ())
        counted["whole" if is_whole else "damaged"] += 1
        counted["refused by both"] += wanted is None and difference(wanted, answer) is None
        found = difference(wanted, answer)
        why = reasons(data, answer, found) if found and not is_whole else set()
        used.update(why)
        counted["differ by rule"] += bool(why)
        if found and not why:
            failed += 1
            if failed <= SHOWN:
                print(f"    FAIL {'whole' if is_whole else 'damaged'}: {found[:600]}: {data.hex()}")
    for rule, words in RULES.items():
        print(f"oracle: {used[rule]} by {rule}: {words}")
        if used[rule] == 0 and count >= 4000:
            failed += 1
            print(f"    FAIL no message needs the rule `{rule}`: remove it")
    print("oracle: " + ", ".join(f"{times} {what}" for what, times in sorted(counted.items())))
    print(f"oracle: {count - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
