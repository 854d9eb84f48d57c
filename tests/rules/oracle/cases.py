"""Our own conformance cases (tests/rules/cases/) asked of the oracle: whoever wrote a case may
have been as wrong as whoever wrote the engine. Where pySigma says something else, the reason stands
here; a difference without a reason fails, and so does a reason that no case needs any more.
"""
import collections

import yaml
from sigma.collection import SigmaCollection

from evaluate import Event, compile_rule

HEAD = "title: case\nlevel: low\nlogsource: {category: c}\ndetection:\n"

# (row, words of the case's `about`) -> why pySigma says something else
DECISIONS = {
    ("Y5", "on is text"): "PyYAML reads YAML 1.1, Sigma demands 1.2",
    ("Y5", "yes and no are texts"): "PyYAML reads YAML 1.1, Sigma demands 1.2",
    ("Y5", "010 is ten"): "PyYAML reads YAML 1.1, Sigma demands 1.2",
    ("Y5", "1e3 is a number"): "PyYAML reads YAML 1.1, Sigma demands 1.2",
    ("Y5", "a date is text"): "PyYAML reads YAML 1.1, Sigma demands 1.2",
    ("Y6", "duplicate keys are refused"): "PyYAML keeps the last, which loses a condition",
    ("C5", "keywords in any case"): "drafts of the standard write AND and NOT",
    ("C5", "a selection named like a keyword is refused"): "nobody could say which is meant",
    ("C7", "2 of, an extension"): "an extension, with a warning",
    ("D9", "beyond 2^53 integers are exact"): "pySigma makes a double of it",
    ("D9", "a number under contains is its text"): "the log may hold it inside a text",
    ("D9", "startswith on a number"): "the log may hold it inside a text",
    ("D13", "null does not stand in a list"): "the standard: null is no list item",
    ("D13", "nor in a list with empty text"): "the standard: null is no list item",
    ("D13", "nor as a keyword"): "a keyword is looked for inside values; null has none",
    ("D15", "exists takes one value"): "two truths about one field are an error of the author",
    ("D16", "an empty list of values is refused"): "pySigma makes it null: a rule nobody meant",
    ("D17", "timeframe is refused"): "removed in Sigma 2.0; ignoring it widens the rule",
    ("W9", "look-around loads with a warning"): "pySigma's engine is RE2, ours has PCRE2",
    ("W9", "a backreference"): "pySigma's engine is RE2, ours has PCRE2",
    ("W9", "an empty expression is refused"): "it matches everything",
    ("W13", "a number is encoded as its text"): "the text that is encoded is its digits",
    ("W14", "too short for some offset"): "an empty spelling would match everything",
    ("W15", "utf16le then base64"): "pySigma knows only the name wide",
    ("W15", "beyond the basic plane as two units"): "pySigma knows only the name wide",
    ("W15", "umlauts in UTF-16"): "pySigma's wide knows ASCII only",
    ("W15", "utf16 stands before base64"): "the text is encoded first",
    ("W19", "a bound in quotes is a number too"): "it can mean nothing else",
    ("W20", "hour 24 is refused"): "it can never match",
    ("W20", "minute 60 is refused"): "it can never match",
    ("W20", "month 0 is refused"): "it can never match",
    ("W23", "an empty name is refused"): "it names no field",
}


def reading(case):
    """(function of an Event, None), or (None, why pySigma has none)."""
    text = HEAD + "".join(f"    {line}\n" for line in case["rule"].split("\n"))
    try:
        return compile_rule(SigmaCollection.from_yaml(text).rules[0]), None
    except Exception as problem:  # whatever pySigma raises is its refusal
        return None, f"{type(problem).__name__}: {problem}"


def difference(case):
    """What the two do not agree on, or None; and how many verdicts were compared."""
    test, refusal = reading(case)
    if "refused" in case:
        return (None if refusal else "picket refuses it, pySigma does not"), 1
    if refusal:
        return f"pySigma refuses it: {refusal.splitlines()[0]}", 1
    verdicts = [(True, e) for e in case.get("yes", ())] + [(False, e) for e in case.get("no", ())]
    for wanted, event in verdicts:
        if test(Event(event)) != wanted:
            return f"the case says {wanted} of {event}", len(verdicts)
    return None, len(verdicts)


def try_cases(folder):
    """Prints what it finds; returns how many failures."""
    failed, verdicts, counted, needed = 0, 0, collections.Counter(), set()
    for path in sorted(folder.glob("*.yml")):
        for case in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader):
            if "rule" not in case or "lists" in case or "source" in case:
                counted["about whole documents, lists and log sources, not asked"] += 1
                continue
            found, compared = difference(case)
            verdicts += compared
            key = (case["row"], case["about"])
            if found is None:
                counted["agree"] += 1
            elif key in DECISIONS:
                needed.add(key)
                counted["by decision"] += 1
                print(f"oracle: decision, {key[0]} {key[1]}: {found}; {DECISIONS[key]}")
            else:
                failed += 1
                print(f"FAIL {path.name}: {key[0]} {key[1]}: {found}")
    for key in DECISIONS.keys() - needed:
        failed += 1
        print(f"FAIL the decision about {key[0]} {key[1]} is not needed any more")
    summary = ", ".join(f"{times} {what}" for what, times in sorted(counted.items()))
    print(f"oracle: own cases: {verdicts} verdicts; cases: {summary}, {failed} fail")
    return failed
