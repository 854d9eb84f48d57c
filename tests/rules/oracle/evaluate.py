"""Whether a rule that pySigma parsed holds for an event: the meaning of Sigma, written once more.

This shares no line with the engine. pySigma reads the YAML, resolves modifiers and the condition;
what is here walks the tree it gives. Where the standard is silent it follows the decisions of
rules/RULES.md (rows D9 to D15, S1 to S5, W7, W9, W19 to W23), not what the engine happens to do.

An event is a map from dotted names to lists of values. A value is None, a bool, a str, a Number, or
EMPTY for an empty array or object.
"""
import datetime
import ipaddress
import json
import math
import re

from sigma import conditions, types

EMPTY = object()
EPOCH = datetime.datetime(1970, 1, 1)
SECONDS_MAX = 9e12  # beyond it microseconds are no 64-bit integer: no time
EPOCHS = ((1e11, 1), (1e14, 1e-3), (1e17, 1e-6))
WILDCARDS = {types.SpecialChars.WILDCARD_MULTI: ".*", types.SpecialChars.WILDCARD_SINGLE: "."}
INTEGER = re.compile(r"[+-]?[0-9]+\Z")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
CLASS_OR_ESCAPE = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]|\\.", re.DOTALL)
DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z|z|[+-]\d\d:?\d\d)?\Z", re.ASCII
)


class Unknown(Exception):
    """The oracle does not know what this means; the rule is counted, not guessed."""


def number_of(text):
    """A 64-bit integer exactly, everything else as a double; None when the text is no number."""
    if INTEGER.match(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    return float(text) if NUMBER.match(text) else None


class Number:
    """A number of an event; its text is canonical: 4.0 and 4e0 are 4, other digits stay."""

    def __init__(self, text):
        self.value = number_of(text)
        whole = isinstance(self.value, float) and self.value.is_integer()
        if whole and abs(self.value) < 2**63:
            self.value = int(self.value)
        self.text = text if INTEGER.match(text) else repr(self.value)


def fold(text):
    """Unicode simple case folding: one code point for one. Python only knows the full one."""
    if text.isascii():
        return text.lower()
    to = []
    for sign in text:
        folded = sign.casefold()
        lowered = sign.lower()
        to.append(folded if len(folded) == 1 else lowered if len(lowered) == 1 else sign)
    return "".join(to)


class Event:
    """The names of a JSON object, flattened; a dotted key of the root hides the nested path."""

    def __init__(self, line):
        self.root = json.loads(line, parse_int=Number, parse_float=Number)
        self.fields = {}
        self.folded = {}
        for key, value in self.root.items():
            self.add(key, value)

    def add(self, name, value):
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                path = f"{name}.{key}"
                if path not in self.root:
                    self.add(path, inner)
        elif isinstance(value, list) and value:
            for member in value:
                self.add(name, member)
        else:
            self.fields.setdefault(name, []).append(EMPTY if value in ({}, []) else value)

    def values(self, name):
        return self.fields.get(name, ())

    def has(self, name):
        """An object is there through its members."""
        return name in self.fields or any(key.startswith(f"{name}.") for key in self.fields)

    def folded_texts(self, name):
        found = self.folded.get(name)
        if found is None:
            found = [fold(text) for text in self.texts(name)]
            self.folded[name] = found
        return found

    def texts(self, name):
        """What the values of a field look like as text; of the whole event for name None."""
        if name is None:
            return [t for known in self.fields for t in self.texts(known)]
        return [text for text in map(text_of, self.values(name)) if text is not None]


def text_of(value):
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, Number) else None


def number_in(value):
    if isinstance(value, Number):
        return value.value
    return number_of(value) if isinstance(value, str) else None


def compile_string(field, value):
    """A test of one text, for a SigmaString: the whole text, or a part of it for keywords."""
    cased = isinstance(value, types.SigmaCasedString)
    parts = [p if cased or not isinstance(p, str) else fold(p) for p in value.s]
    if any(isinstance(p, types.Placeholder) for p in parts):
        raise Unknown("a placeholder")
    star = types.SpecialChars.WILDCARD_MULTI
    if field is None:
        parts = [star, *parts, star]
    texts = Event.texts if cased else Event.folded_texts
    literals = [p for p in parts if isinstance(p, str)]
    if parts == literals:
        whole = "".join(literals)
        return lambda event: whole in texts(event, field)
    if len(parts) == 3 and parts[0] == parts[2] == star and literals:
        part = literals[0]
        return lambda event: any(part in text for text in texts(event, field))
    pattern = "".join(re.escape(p) if isinstance(p, str) else WILDCARDS[p] for p in parts)
    search = re.compile(pattern + r"\Z", re.DOTALL).match
    return lambda event: any(search(text) for text in texts(event, field))


def ascii_escape(match):
    part = match[0]
    return f"(?a:{part})" if len(part) == 2 and part[1] in "wWdDsSbB" else part


def compile_regex(field, value):
    flags = re.ASCII
    names = types.SigmaRegularExpressionFlag
    for name, flag in ((names.IGNORECASE, re.I), (names.MULTILINE, re.M), (names.DOTALL, re.S)):
        flags |= flag if name in value.flags else 0
    pattern = str(value.regexp)
    if flags & re.I or "(?i" in pattern:
        # PCRE2's classes are ASCII, its letters without case are Unicode; Python needs both said.
        flags &= ~re.ASCII
        pattern = CLASS_OR_ESCAPE.sub(ascii_escape, pattern)
    try:
        search = re.compile(pattern, flags).search
    except re.error as problem:
        raise Unknown(f"Python's regular expressions: {problem}") from problem
    return lambda event: any(search(text) for text in event.texts(field))


def network_of(text):
    """::ffff:a.b.c.d is the IPv4 address."""
    found = ipaddress.ip_network(text, strict=False)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        found = ipaddress.ip_network((mapped, found.prefixlen - 96), strict=False)
    return found


def compile_cidr(field, value):
    network = network_of(value.cidr)

    def inside(text):
        try:
            found = network_of(text.split("%")[0])
        except ValueError:
            return False
        return found.version == network.version and found.subnet_of(network)

    return lambda event: any(inside(text) for text in event.texts(field))


def compile_number(field, value):
    wanted = value.number
    return lambda event: any(number_in(found) == wanted for found in event.values(field))


def compile_comparison(field, value):
    names = types.SigmaCompareExpression.CompareOperators
    holds = {
        names.LT: lambda a, b: a < b,
        names.LTE: lambda a, b: a <= b,
        names.GT: lambda a, b: a > b,
        names.GTE: lambda a, b: a >= b,
    }[value.op]
    limit = value.number.number
    part = getattr(value.number, "timestamp_part", None)

    def compared(found):
        number = number_in(found) if part is None else part_of(found, part)
        return number is not None and holds(number, limit)

    return lambda event: any(compared(found) for found in event.values(field))


def date_of(value):
    """RFC 3339, or an epoch in seconds, milli-, micro- or nanoseconds by its size, as UTC."""
    match = DATE.match(value) if isinstance(value, str) else None
    if match is None:
        number = number_in(value)
        if number is None or isinstance(value, bool):
            return None
        scale = next((s for limit, s in EPOCHS if abs(number) < limit), 1e-9)
        seconds = math.floor(number * scale)
        return EPOCH + datetime.timedelta(seconds=seconds) if abs(seconds) < SECONDS_MAX else None
    zone = (match[7] or "Z").upper().replace(":", "")
    shift = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[3:])) * (-1) ** (zone[0] == "-")
    try:
        local = datetime.datetime(*(int(match[i]) for i in range(1, 7)))
        return local - datetime.timedelta(minutes=shift)
    except (ValueError, OverflowError):
        return None


def part_of(value, part):
    date = date_of(value)
    if date is None:
        return None
    return date.isocalendar()[1] if part.name == "WEEK" else getattr(date, part.name.lower())


def compile_time(field, value):
    part, wanted = value.timestamp_part, value.number
    return lambda event: any(part_of(found, part) == wanted for found in event.values(field))


def compile_reference(field, value):
    def holds(text, other):
        if value.starts_with and value.ends_with:
            return other in text
        if value.starts_with:
            return text.startswith(other)
        return text.endswith(other) if value.ends_with else text == other

    return lambda event: any(
        holds(text, other)
        for text in event.folded_texts(field)
        for other in event.folded_texts(value.field)
    )


def compile_bool(field, value):
    word = "true" if value.boolean else "false"

    def holds(found):  # true and false are words of JSON: no other script spells them
        text = text_of(found) if isinstance(found, (bool, str)) else ""
        return text.isascii() and text.lower() == word

    return lambda event: any(holds(found) for found in event.values(field))


def compile_value(field, value):
    if isinstance(value, types.SigmaExpansion):
        tests = [compile_value(field, one) for one in value.values]
        return lambda event: any(test(event) for test in tests)
    if field is None and isinstance(value, types.SigmaNumber):
        value = types.SigmaString(str(value))
    if isinstance(value, types.SigmaNull):
        return lambda event: None in event.values(field) or not event.has(field)
    if isinstance(value, types.SigmaExists):
        return lambda event: event.has(field) == bool(value)
    for kind, compiler in (
        (types.SigmaString, compile_string),
        (types.SigmaRegularExpression, compile_regex),
        (types.SigmaCIDRExpression, compile_cidr),
        (types.SigmaCompareExpression, compile_comparison),
        (types.SigmaFieldReference, compile_reference),
        (types.SigmaTimestampPart, compile_time),
        (types.SigmaNumber, compile_number),
        (types.SigmaBool, compile_bool),
    ):
        if isinstance(value, kind):
            return compiler(field, value)
    raise Unknown(f"a value of {type(value).__name__}")


def compile_node(node):
    """The tree as one function of the event."""
    if isinstance(node, conditions.ConditionValueExpression):
        return compile_value(None, node.value)
    if isinstance(node, conditions.ConditionFieldEqualsValueExpression):
        return compile_value(node.field, node.value)
    parts = [compile_node(inner) for inner in node.args]
    if isinstance(node, conditions.ConditionNOT):
        (part,) = parts
        return lambda event: not part(event)
    if isinstance(node, conditions.ConditionOR):
        return lambda event: any(part(event) for part in parts)
    if isinstance(node, conditions.ConditionAND):
        return lambda event: all(part(event) for part in parts)
    raise Unknown(f"a condition of {type(node).__name__}")


def names_of(node):
    """The fields a tree asks for; None among them for keywords, which ask all."""
    if hasattr(node, "args"):
        return set().union(*(names_of(inner) for inner in node.args))
    names = {getattr(node, "field", None)}
    if isinstance(node.value, types.SigmaFieldReference):
        names.add(node.value.field)
    return names


def compile_rule(rule):
    """A rule of pySigma: its conditions are joined by OR."""
    tests = [compile_node(condition.parsed) for condition in rule.detection.parsed_condition]
    return lambda event: any(test(event) for test in tests)
