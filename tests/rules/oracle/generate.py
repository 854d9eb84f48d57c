"""Random rules with every modifier but expand: public rules use half of the language only.

An alphabet so small that everything collides with everything: cases whose folding changes their
size, dashes, escapes at every place, numbers in texts. What one of the two refuses is not compared;
how often that is is counted, so that a generator of refused rules would be noticed.
"""
import json

FIELDS = ("a", "b", "c.d", "user.id", "E F")
PIECES = ("a", "A", "b", "k", "K", "\u212a", "s", "\u017f", "\u00df", "\u1e9e", "\u0130", "\u0131",
          "\u00e9", "\u00c9", "\u03c3", "\u03c2", "\u023a", "\u2c65", "\U00010400", "-", "/", " ",
          ".exe", "4", "68", "\n", "ab", "aba", "%", ":", "=")
SIGNS = ("*", "?", "\\", "\\\\", "\\*", "\\?", "\\\\*", "**", "*?")
PATTERNS = ("a+b", "^a", "b$", "[^a]b", "(a|b)+4", "a.b", "^.{2}$", "\\d+", "\\bab\\b", "(?i)AB",
            "aba", "(kab|aba)4?", "^(ab?)*$", "a{2,3}", "[a-c]+s", "\\.exe$", "\\\\", "4|68", "\\s")
NETWORKS = ("10.0.0.0/8", "192.168.4.0/22", "10.1.2.3/32", "2001:db8::/32", "0.0.0.0/0")
ADDRESSES = ("10.1.2.3", "192.168.5.9", "192.168.8.1", "::ffff:10.0.0.9", "2001:db8::7", "::1",
             "10.1.0.0/16", "10.0.0", "nowhere")
DATES = ("2026-11-22T13:04:00Z", "2026-01-01T00:30:00+01:00", "2020-12-31 23:59:59", 1795305600,
         "1795305600", 1795305600123, "2026-11-22", "soon")
PARTS = {"minute": (0, 4, 30), "hour": (0, 13, 23), "day": (1, 22, 31), "week": (1, 47, 53),
         "month": (1, 11, 12), "year": (2020, 2026)}
NUMBERS = (0, 4, 468, -4, 4.5, 9007199254740991, 1000, 0.1)


def text(chance, signs):
    parts = [chance.choice(PIECES) for _ in range(chance.randrange(1, 5))]
    if signs and chance.random() < 0.5:
        parts.insert(chance.randrange(len(parts) + 1), chance.choice(SIGNS))
    return "".join(parts)


def several(chance, make):
    if chance.random() < 0.5:
        return make()
    return [make() for _ in range(chance.randrange(2, 5))]


def encodable(chance):
    return "".join(chance.choices("abKs4 .", k=chance.randrange(3, 9)))


def item(chance):
    """(modifiers, value) of a field."""
    kind = chance.randrange(16)
    if kind < 6:
        names = chance.sample(("", "contains", "startswith", "endswith"), 1)
        names += [name for name in ("cased", "windash") if chance.random() < 0.2]
        value = several(chance, lambda: text(chance, True))
        if isinstance(value, list) and chance.random() < 0.4:
            names.append("all")
        if chance.random() < 0.2:
            names.append("neq")
        return [name for name in names if name], value
    if kind == 6:
        flags = [flag for flag in ("i", "m", "s") if chance.random() < 0.3]
        # Behind a last line end ^ begins a line for Python under `m`, and for PCRE2 none.
        patterns = [p for p in PATTERNS if "m" not in flags or "*" not in p]
        return ["re", *flags], several(chance, lambda: chance.choice(patterns))
    if kind == 7:
        codes = chance.choice((["base64"], ["base64offset"], ["wide", "base64offset"],
                               ["utf16be", "base64"]))
        value = several(chance, lambda: encodable(chance))
        return [*codes, chance.choice(("contains", "startswith", "endswith"))], value
    if kind == 8:
        return ["cidr"], several(chance, lambda: chance.choice(NETWORKS))
    if kind == 9:
        return [chance.choice(("lt", "lte", "gt", "gte"))], chance.choice(NUMBERS)
    if kind == 10:
        part = chance.choice(sorted(PARTS))
        return [part], chance.choice(PARTS[part])
    if kind == 11:
        how = chance.choice(([], ["startswith"], ["endswith"], ["contains"], ["neq"]))
        return ["fieldref", *how], chance.choice(FIELDS)
    if kind == 12:
        return ["exists"], chance.random() < 0.5
    if kind == 13:
        return [], chance.choice((None, "", True, False))
    return [], several(chance, lambda: chance.choice(NUMBERS))


def selection(chance):
    kind = chance.randrange(12)
    if kind == 0:
        return several(chance, lambda: text(chance, True))
    if kind == 1:
        return {"|all": [text(chance, True) for _ in range(2)]}
    if kind == 2:
        return {"|re": chance.choice(PATTERNS)}
    if kind == 3:
        return [mapping(chance) for _ in range(2)]
    return mapping(chance)


def mapping(chance):
    made = {}
    for _ in range(chance.choice((1, 1, 2, 3))):
        modifiers, value = item(chance)
        made["|".join([chance.choice(FIELDS), *modifiers])] = value
    return made


def condition(chance, names, depth=2):
    kind = chance.randrange(8 if depth else 3)
    if kind < 3:
        return chance.choice(names)
    if kind == 3:
        return f"{chance.choice(('1', 'any', 'all'))} of {chance.choice(('them', 's*', '*1'))}"
    if kind == 4:
        return f"not {condition(chance, names, 0)}"
    parts = [condition(chance, names, depth - 1) for _ in range(2)]
    joined = f" {chance.choice(('and', 'or', 'and not'))} ".join(parts)
    return f"({joined})" if chance.random() < 0.6 else joined


def rule(chance, number):
    """JSON is YAML, and no reader of it sees a type that another does not."""
    names = [f"s{i}" for i in range(1, chance.randrange(2, 5))]
    detection = {name: selection(chance) for name in names}
    detection["condition"] = condition(chance, names)
    document = {"title": f"random {number}", "id": f"00000000-0000-4000-8000-{number:012d}",
                "logsource": {"category": "c"}, "level": "low", "detection": detection}
    return json.dumps(document, ensure_ascii=False)


def value(chance):
    kind = chance.randrange(12)
    if kind < 6:
        return text(chance, chance.random() < 0.2)
    return chance.choice((None, "", True, "true", [], {}, *NUMBERS, 4.0, 1e22, -0.0,
                          18446744073709551617, "4", "4.0", "1e3", *ADDRESSES,
                          *DATES, ["a", "k\u0130"], [4, None]))


def event(chance):
    made = {name: value(chance) for name in FIELDS if chance.random() < 0.5}
    if chance.random() < 0.3:
        made["c"] = {"d": value(chance)}
        if chance.random() < 0.5:
            made["c"] = [made["c"], {"d": "ab"}]
    return made
