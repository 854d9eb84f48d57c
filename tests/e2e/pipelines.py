#!/usr/bin/env python3
"""The second opinion on processing pipelines: pySigma itself.

Rules, filters, pipelines and events are made at random (the seed is printed); pySigma applies the
pipelines and this script evaluates the condition trees it ends up with over the events; picket scans
the same files with -p. Every (event, rule) pair must be the same, and what one of them refuses the
other must refuse.

usage: pipelines.py PICKET [ROUNDS [SEED]]
pySigma is imported from where Python finds it, from the folder PICKET_PYSIGMA (pip install
--target), or from the environment that tests/rules/oracle/run.py installs into its cache
(PICKET_CACHE, else ~/.cache/picket). Without it: SKIP, in capital letters, and 0.
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

if os.environ.get("PICKET_PYSIGMA"):
    sys.path.insert(0, os.environ["PICKET_PYSIGMA"])
try:
    from sigma.collection import SigmaCollection
    from sigma.conditions import ConditionAND, ConditionNOT, ConditionOR
    from sigma.exceptions import SigmaError
    from sigma.processing.resolver import ProcessingPipelineResolver
    from sigma.rule import SigmaLogSource
    from sigma.types import (SigmaBool, SigmaCasedString, SigmaFieldReference, SigmaNull,
                             SigmaNumber, SigmaRegularExpression, SigmaString, SpecialChars)
    import yaml
except ImportError as absent:
    cache = pathlib.Path(os.environ.get("PICKET_CACHE", pathlib.Path.home() / ".cache/picket"))
    for home in sorted(cache.glob("pysigma-*/complete")):
        python = home.parent / "bin/python"
        if pathlib.Path(sys.prefix).resolve() != home.parent.resolve():
            os.execv(python, [str(python), "-B", os.path.abspath(__file__), *sys.argv[1:]])
    print(f"SKIP pipelines.py: no pySigma ({absent}); run tests/rules/oracle/run.py once, which "
          "installs it, or set PICKET_PYSIGMA")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

FIELDS = ["a", "b", "c", "user", "proc.name", "EventID"]
TARGETS = FIELDS + ["x", "y.z", "w"]
WORDS = ["x", "root", "a*b", "*end", "start*", "1", "q?r", "admin", "mid"]
EVENT_WORDS = ["x", "root", "aZb", "the end", "starter", "1", "qxr", "Admin", "amide", "", "5"]
SOURCES = [{"product": "p"}, {"product": "p", "service": "s"}, {"category": "c"},
           {"product": "q"}, {"product": "p", "category": "c"}]
EVENT_SOURCE = {"product": "p", "service": "s", "category": "c"}


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def some(self, things, most=3):
        return self.random.sample(things, self.random.randint(1, min(most, len(things))))

    def chance(self, of):
        return self.random.random() < of

    # ---- rules
    def item(self):
        modifier = self.pick(["", "", "", "|contains", "|startswith", "|endswith", "|re", "|neq",
                              "|contains|all", "|cased", "|fieldref", "|null", "|number"])
        key = self.pick(FIELDS)
        if modifier == "|null":
            return key, None
        if modifier == "|number":
            return key, self.pick([1, 5])
        if modifier == "|fieldref":
            return key + modifier, self.pick(FIELDS)
        if modifier == "|re":
            return key + modifier, self.pick(["^r", "in$", "m.d"])
        if modifier == "|contains|all":
            return key + modifier, self.random.sample(["a", "m", "i", "x"], 2)
        words = self.some(WORDS)
        return key + modifier, words[0] if len(words) == 1 else words

    def selection(self):
        kind = self.random.random()
        if kind < 0.1:
            return self.some(["root", "amid", "xr"])
        if kind < 0.25:
            return [dict([self.item()]) for _ in range(2)]
        return dict(self.item() for _ in range(self.random.randint(1, 3)))

    def condition(self, names, depth=0):
        if depth > 2 or self.chance(0.4):
            return self.pick(names)
        kind = self.pick(["and", "or", "not", "1 of them", "all of them"])
        if kind == "not":
            return f"not {self.condition(names, depth + 1)}" if depth else \
                f"{self.pick(names)} and not {self.condition(names, depth + 1)}"
        if kind.endswith("them"):
            return kind
        return f"({self.condition(names, depth + 1)} {kind} {self.condition(names, depth + 1)})"

    def rule(self, number):
        names = [f"sel{i}" for i in range(self.random.randint(1, 3))]
        detection = {name: self.selection() for name in names}
        detection["condition"] = self.condition(names)
        rule = {"title": f"rule {number}", "name": f"r{number}", "level": "low",
                "logsource": dict(self.pick(SOURCES)), "detection": detection}
        if self.chance(0.3):
            rule["tags"] = [self.pick(["attack.t1", "attack.t2"])]
        return rule

    def filter(self, number):
        return {"title": f"filter {number}", "logsource": dict(self.pick(SOURCES)),
                "filter": {"rules": "any", "out": dict([self.item()]), "condition": "not out"}}

    # ---- pipelines
    def rule_condition(self, ids):
        kind = self.pick(["logsource", "contains_detection_item", "contains_field",
                          "is_sigma_rule", "is_sigma_correlation_rule", "tag",
                          "processing_item_applied"])
        if kind == "logsource":
            return {"type": kind, **self.pick(SOURCES)}
        if kind == "contains_detection_item":
            return {"type": kind, "field": self.pick(TARGETS), "value": self.pick(WORDS + [1, 5])}
        if kind == "contains_field":
            return {"type": kind, "field": self.pick(TARGETS)}
        if kind == "tag":
            return {"type": kind, "tag": "attack.t1"}
        if kind == "processing_item_applied":
            return {"type": kind, "processing_item_id": self.pick(ids)}
        return {"type": kind}

    def item_condition(self, ids):
        kind = self.pick(["is_null", "contains_wildcard", "match_value",
                          "processing_item_applied"])
        if kind == "processing_item_applied":
            return {"type": kind, "processing_item_id": self.pick(ids)}
        condition = {"type": kind, "cond": self.pick(["any", "all"])}
        if kind == "match_value":
            condition["value"] = self.pick(WORDS)
        return condition

    def field_condition(self, _ids):
        return {"type": self.pick(["include_fields", "exclude_fields"]),
                "fields": self.some(TARGETS)}

    def conditions(self, step, prefix, make, ids, chance):
        if not self.chance(chance):
            return
        found = [make(ids) for _ in range(self.random.randint(1, 2))]
        if self.chance(0.3):
            labels = [f"k{i}" for i in range(len(found))]
            step[f"{prefix}_conditions"] = dict(zip(labels, found))
            text = f" {self.pick(['and', 'or'])} ".join(labels)
            step[f"{prefix}_cond_expr"] = f"not ({text})" if self.chance(0.3) else text
            return
        step[f"{prefix}_conditions"] = found
        if self.chance(0.3):
            step[f"{prefix}_cond_op"] = self.pick(["or", "and"])
        if self.chance(0.3):
            step[f"{prefix}_cond_not"] = True

    def step(self, ids):
        kind = self.pick(["field_name_mapping"] * 4 + ["field_name_prefix", "field_name_suffix",
                         "field_name_prefix_mapping", "add_condition", "change_logsource",
                         "drop_detection_item"])
        step = {"id": self.pick(ids), "type": kind}
        if kind == "field_name_mapping":
            step["mapping"] = {field: self.target() for field in self.some(TARGETS)}
        elif kind == "field_name_prefix_mapping":
            step["mapping"] = {self.pick(["proc.", "u", "E"]): self.pick(["w", ["x", "y."]])}
        elif kind == "field_name_prefix":
            step["prefix"] = self.pick(["y.", "p"])
        elif kind == "field_name_suffix":
            step["suffix"] = "_z"
        elif kind == "add_condition":
            step["conditions"] = dict(self.item() for _ in range(self.random.randint(1, 2)))
            if self.chance(0.3):
                step["conditions"] = {self.pick(FIELDS): "$product"}
                step["template"] = True
            if self.chance(0.3):
                step["negated"] = True
            if self.chance(0.3):
                step["name"] = self.pick(["extra", "_extra"])
        elif kind == "change_logsource":
            step.update(self.pick(SOURCES))
        of_items = kind not in ("add_condition", "change_logsource")
        self.conditions(step, "rule", self.rule_condition, ids, 0.5)
        self.conditions(step, "detection_item", self.item_condition, ids, 0.25 * of_items)
        only = 1.0 if kind == "drop_detection_item" else 0.4
        self.conditions(step, "field_name", self.field_condition, ids, only * of_items)
        return step

    def target(self):
        return self.pick(TARGETS) if self.chance(0.6) else self.some(TARGETS)

    def pipelines(self):
        ids = ["one", "two", "three"]
        files = []
        for _ in range(self.random.randint(1, 3)):
            steps = [self.step(ids) for _ in range(self.random.randint(1, 4))]
            files.append({"name": "p", "priority": self.pick([0, 10, 10, 20]),
                          "transformations": steps})
        taken = {step["id"] for one in files for step in one["transformations"]}
        for missing in set(ids) - taken:  # every id that may be asked for is there
            files[0]["transformations"].append(
                {"id": missing, "type": "field_name_mapping", "mapping": {"nothing": "nothing"}})
        return files

    # ---- events
    def event(self):
        names = TARGETS + ["pa", "puser", "a_z", "wser", "wname", "xser", "y.a", "y.user"]
        event = {}
        for name in self.random.sample(names, self.random.randint(2, 8)):
            event[name] = self.pick(EVENT_WORDS + ["p", 1, 5, None])
        return event


# ---- what pySigma ends up with, over one event

def texts(value):
    if value is None or isinstance(value, bool):
        return []
    return [value if isinstance(value, str) else str(value)]


def pattern_of(string, flags):
    parts = []
    for part in string.s:
        if part == SpecialChars.WILDCARD_MULTI:
            parts.append(".*")
        elif part == SpecialChars.WILDCARD_SINGLE:
            parts.append(".")
        else:
            parts.append(re.escape(part))
    return re.compile("".join(parts), flags | re.DOTALL)


def value_holds(field, value, event):
    present = field in event
    have = event.get(field)
    if isinstance(value, SigmaNull):
        return have is None
    if not present:
        return False
    if isinstance(value, SigmaNumber):
        try:
            return have is not None and float(have) == float(value.number)
        except ValueError:
            return False
    if isinstance(value, SigmaFieldReference):
        other = event.get(value.field)
        return any(a.lower() == b.lower() for a in texts(have) for b in texts(other))
    if isinstance(value, SigmaRegularExpression):
        return any(re.search(str(value.regexp), text) for text in texts(have))
    if isinstance(value, SigmaString):
        flags = 0 if isinstance(value, SigmaCasedString) else re.IGNORECASE
        return any(pattern_of(value, flags).fullmatch(text) for text in texts(have))
    raise TypeError(f"{type(value)} is not expected here")


def keyword_holds(value, event):
    inner = pattern_of(value, re.IGNORECASE)
    return any(inner.search(text) for have in event.values() for text in texts(have))


def is_empty(node):
    """What drop_detection_item leaves of a selection; pySigma leaves it in place as None."""
    if isinstance(node, (ConditionAND, ConditionOR, ConditionNOT)):
        return all(is_empty(child) for child in node.args)
    return node is None


def holds(node, event):
    if isinstance(node, (ConditionAND, ConditionOR)):
        node.args = [child for child in node.args if not is_empty(child)]
    if isinstance(node, ConditionAND):
        return all(holds(child, event) for child in node.args)
    if isinstance(node, ConditionOR):
        return any(holds(child, event) for child in node.args)
    if isinstance(node, ConditionNOT):
        return not holds(node.args[0], event)
    if hasattr(node, "field"):
        return value_holds(node.field, node.value, event)
    return keyword_holds(node.value, event)


def reference(documents, paths, events):
    """{(rule, line)} and the names of the rules that pySigma refuses."""
    pipeline = ProcessingPipelineResolver().resolve(paths)
    collection = SigmaCollection.from_dicts(json.loads(json.dumps(documents)))
    source = SigmaLogSource(**EVENT_SOURCE)
    found, refused = set(), set()
    for rule in collection.rules:
        try:
            pipeline.apply(rule)
            trees = [condition.parsed for condition in rule.detection.parsed_condition]
            if all(is_empty(tree) for tree in trees):
                raise SigmaError("nothing is left")
        except SigmaError:
            refused.add(rule.name)
            continue
        if source not in rule.logsource:
            continue
        for line, event in enumerate(events, 1):
            if any(holds(tree, event) for tree in trees):
                found.add((rule.name, line))
    return found, refused


def ours(picket, folder, paths):
    command = [picket, "scan", "--rules", f"{folder}/rules.yml", "--skip-refused", "--matches",
               "--input", "raw", "--logsource",
               ",".join(f"{key}={value}" for key, value in EVENT_SOURCE.items())]
    for path in paths:
        command += ["-p", path]
    result = subprocess.run(command + [f"{folder}/events.ndjson"], capture_output=True, text=True,
                            check=False)
    if result.returncode != 0:
        return None, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {(line["rule"]["name"], line["event"]["line"]) for line in lines}, result.stderr


def rule_conditions(pipelines):
    for pipeline in pipelines:
        for step in pipeline["transformations"]:
            conditions = step.get("rule_conditions", [])
            yield from conditions.values() if isinstance(conditions, dict) else conditions


def one_round(picket, seed):
    maker = Maker(seed)
    rules = [maker.rule(number) for number in range(12)]
    pipelines = maker.pipelines()
    # A rule of which only a filter is left is refused here; pySigma makes the filter a rule.
    drops = any(step["type"] == "drop_detection_item"
                for one in pipelines for step in one["transformations"])
    # pySigma joins filters first, so a condition on a rule's content sees theirs too; here it sees
    # the rule alone (RULES.md).
    content = any(one["type"].startswith("contains_") for one in rule_conditions(pipelines))
    filters = [] if drops or content or maker.chance(0.3) else [maker.filter(number) for number in range(2)]
    events = [maker.event() for _ in range(60)]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        with open(f"{folder}/rules.yml", "w", encoding="utf-8") as file:
            yaml.safe_dump_all(rules + filters, file, sort_keys=False)
        with open(f"{folder}/events.ndjson", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)
        for number, pipeline in enumerate(pipelines):
            paths.append(f"{folder}/p{number}.yml")
            with open(paths[-1], "w", encoding="utf-8") as file:
                yaml.safe_dump(pipeline, file, sort_keys=False)
        maker.random.shuffle(paths)
        want, refused = reference(rules + filters, paths, events)
        have, stderr = ours(picket, folder, paths)
    if have is None:
        raise AssertionError(f"seed {seed}: picket refuses: {stderr}")
    count = len(re.findall(r": refused: ", stderr))
    if count != len(refused):
        raise AssertionError(f"seed {seed}: {len(refused)} rules refused by pySigma ({refused}), "
                             f"{count} here:\n{stderr}")
    if have != want:
        wrong = sorted(have ^ want)[0]
        rule = next(rule for rule in rules if rule["name"] == wrong[0])
        raise AssertionError(
            f"seed {seed}: {'only here' if wrong in have else 'only pySigma'}: {wrong}\n"
            f"event: {events[wrong[1] - 1]}\n" +
            yaml.safe_dump_all([rule] + filters + pipelines, sort_keys=False))
    return len(events) * len(rules), len(want), len(refused)


def main():
    picket = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    pairs = matches = refused = 0
    for step in range(rounds):
        more = one_round(picket, seed + step)
        pairs, matches, refused = pairs + more[0], matches + more[1], refused + more[2]
    assert matches > 0
    print(f"ok pipelines.py: {rounds} rounds from seed {seed}: {pairs} pairs as pySigma, "
          f"{matches} matches, {refused} rules refused by both")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as difference:
        print(f"FAIL pipelines.py: {difference}", file=sys.stderr)
        sys.exit(1)
