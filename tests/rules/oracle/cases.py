"""Our own conformance cases (tests/rules/cases/) asked of the oracle: whoever wrote a case may
have been as wrong as whoever wrote the engine. Where pySigma says something else, the case gives
the reason under `pysigma`; a difference without a reason fails, and so does a reason without one.
"""
import collections

import yaml
from sigma import modifiers
from sigma.collection import SigmaCollection
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import ValueListPlaceholderTransformation

from evaluate import Event, compile_rule

# pySigma knows utf16le by its old name only.
modifiers.modifier_mapping.setdefault("utf16le", modifiers.modifier_mapping["wide"])

HEAD = "title: case\nlevel: low\nlogsource: {category: c}\ndetection:\n"


def with_lists(rule, lists):
    """Fills placeholders in, from the lines of each list that are neither blank nor comments."""
    lines = {name: [line.strip() for line in text.split("\n")] for name, text in lists.items()}
    values = {name: [v for v in found if v and v[0] != "#"] for name, found in lines.items()}
    item = ProcessingItem(transformation=ValueListPlaceholderTransformation())
    ProcessingPipeline(items=[item], vars=values).apply(rule)
    return rule


def reading(case):
    """(function of an Event, None), or (None, why pySigma has none)."""
    text = HEAD + "".join(f"    {line}\n" for line in case["rule"].split("\n"))
    try:
        rule = SigmaCollection.from_yaml(text).rules[0]
        return compile_rule(with_lists(rule, case["lists"]) if "lists" in case else rule), None
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
    failed, verdicts, counted = 0, 0, collections.Counter()
    for path in sorted(folder.glob("*.yml")):
        for case in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader):
            if "rule" not in case or "source" in case:
                counted["about whole documents and log sources, not asked"] += 1
                continue
            found, compared = difference(case)
            verdicts += compared
            name, why = f"{case['row']} {case['about']}", case.get("pysigma")
            if found is None and why is None:
                counted["agree"] += 1
            elif found is not None and why is not None:
                counted["by decision"] += 1
                print(f"oracle: decision, {name}: {found}; {why}")
            else:
                failed += 1
                print(f"FAIL {path.name}: {name}: {found or 'pySigma agrees: remove `pysigma`'}")
    summary = ", ".join(f"{times} {what}" for what, times in sorted(counted.items()))
    print(f"oracle: own cases: {verdicts} verdicts; cases: {summary}, {failed} fail")
    return failed
