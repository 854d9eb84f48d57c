"""Events made from rules: what a rule asks for, put together, so that rules which no recorded event
touches are tried too; and what such an event looks like when it is almost right.

Nothing here has to be correct: both sides judge whatever comes out. It only has to be near.
"""
import random

from sigma import conditions, types

FILLERS = ("", "x", "Zz", " ", "\\", "/", "0", "\u00e9", "\u2013")
LOOKALIKES = {"k": "\u212a", "s": "\u017f", "-": "\u2013", "/": "-", "\\": "/", "i": "\u0130"}


def literal_of(value, chance):
    """A text that a SigmaString accepts, as (text, open before, open behind)."""
    star = types.SpecialChars.WILDCARD_MULTI
    parts = list(value.s)
    before = bool(parts) and parts[0] is star
    behind = bool(parts) and parts[-1] is star
    text = "".join(
        part if isinstance(part, str) else chance.choice(FILLERS[:3] if part is star else "x\u20ac")
        for part in parts[before : len(parts) - behind]
        if not isinstance(part, types.Placeholder)
    )
    return text, before, behind


def demand_of(field, value, chance):
    if isinstance(value, types.SigmaExpansion):
        return demand_of(field, chance.choice(value.values), chance)
    if isinstance(value, types.SigmaString):
        return [(field, literal_of(value, chance))]
    if isinstance(value, types.SigmaNull):
        return [(field, None)] if chance.random() < 0.5 else []
    if isinstance(value, types.SigmaNumber):
        number = value.number
        return [(field, chance.choice((number, str(number), float(number))))]
    if isinstance(value, types.SigmaBool):
        return [(field, chance.choice((value.boolean, str(value.boolean))))]
    if isinstance(value, types.SigmaCIDRExpression):
        return [(field, str(value.network.network_address + chance.randrange(3)))]
    if isinstance(value, types.SigmaRegularExpression):
        return [(field, (regex_example(str(value.regexp), chance), True, True))]
    if isinstance(value, types.SigmaFieldReference):
        return [(field, "Same"), (value.field, "same")]
    return [(field, "x")]


def regex_example(pattern, chance):
    """Very roughly: signs of the grammar dropped, classes as one digit or letter."""
    text = ""
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\" and at + 1 < len(pattern):
            at += 1
            text += {"d": "7", "w": "w", "s": " ", "S": "S", "W": "-"}.get(pattern[at], pattern[at])
        elif sign == "[":
            end = pattern.find("]", at + 2)
            text += chance.choice("a0A") if pattern[at + 1] != "^" else "!"
            at = len(pattern) if end < 0 else end
        elif sign == "{":
            end = pattern.find("}", at)
            digits = pattern[at + 1 : end].split(",")[0]
            text += (text[-1:] * (int(digits) - 1)) if digits.isdigit() else ""
            at = len(pattern) if end < 0 else end
        elif sign == ".":
            text += "q"
        elif sign not in "^$()|*+?":
            text += sign
        at += 1
    return text


def demands(node, wanted, chance):
    """One way to make the node what is wanted, as a list of (field, value)."""
    if isinstance(node, conditions.ConditionNOT):
        return demands(node.args[0], not wanted, chance)
    if isinstance(node, (conditions.ConditionAND, conditions.ConditionOR)):
        every = isinstance(node, conditions.ConditionAND) == wanted
        chosen = node.args if every else [chance.choice(node.args)]
        return [d for inner in chosen for d in demands(inner, wanted, chance)]
    if not wanted:
        return []
    return demand_of(getattr(node, "field", None), node.value, chance)


def joined(values, chance):
    """Several demands on one field as one text, the open ends inside."""
    texts = [v for v in values if isinstance(v, tuple)]
    if not texts:
        return values[0]
    texts.sort(key=lambda v: (v[1], not v[2]))
    first = [v for v in texts if not v[1]]
    last = [v for v in texts if v[1] and not v[2]]
    middle = [v for v in texts if v[1] and v[2]]
    parts = [v[0] for v in first + middle + last]
    text = chance.choice(FILLERS).join(parts) if len(parts) > 1 else parts[0]
    if texts[0][1]:
        text = chance.choice(FILLERS) + text
    if texts[-1][2]:
        text += chance.choice(FILLERS)
    return text


def swapped(text, chance):
    return "".join(c.swapcase() if c.isascii() and chance.random() < 0.2 else c for c in text)


def put(event, name, value, chance):
    """Nested or dotted, alone or among others."""
    if chance.random() < 0.1:
        value = ["other", value]
    if "." in name and chance.random() < 0.7:
        outer, _, inner = name.partition(".")
        below = event.setdefault(outer, {})
        if isinstance(below, dict):
            put(below, inner, value, chance)
            return
    event[name] = value


def invent(rule, chance):
    """An event that the rule should like, as a JSON-able dict."""
    node = chance.choice(rule.detection.parsed_condition).parsed
    wishes = {}
    for field, value in demands(node, True, chance):
        wishes.setdefault(field, []).append(value)
    event = {}
    for field, values in wishes.items():
        value = joined(values, chance)
        if isinstance(value, str):
            value = swapped(value, chance)
        put(event, field or "message", value, chance)
    return event


def spoilt_text(text, chance):
    at = chance.randrange(len(text)) if text else 0
    kind = chance.randrange(6)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + chance.choice("x*?\\\n") + text[at:]
    if kind == 2:
        return text + chance.choice((" ", "\n", "x"))
    if kind == 3:
        return text[:at] + LOOKALIKES.get(text[at : at + 1].lower(), "_") + text[at + 1 :]
    if kind == 4:
        return text.upper()
    return text[1:]


def spoil(event, chance):
    """The same event with one of its values almost right, gone or of another type."""
    spoilt = dict(event)
    if not spoilt:
        return {"message": "nothing"}
    name = chance.choice(sorted(spoilt))
    value = spoilt[name]
    if isinstance(value, dict):
        spoilt[name] = spoil(value, chance)
    elif isinstance(value, str) and chance.random() < 0.8:
        spoilt[name] = spoilt_text(value, chance)
    else:
        kind = chance.randrange(5)
        if kind == 0:
            del spoilt[name]
        else:
            spoilt[name] = (None, "", [], 7)[kind - 1]
    return spoilt


def make_random(seed, name):
    return random.Random(f"{seed}:{name}")
