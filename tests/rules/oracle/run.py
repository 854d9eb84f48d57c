#!/usr/bin/env python3
"""picket against a second oracle that shares no code with it: pySigma reads the rules, evaluate.py
walks what it read. Every SigmaHQ rule is tried on recorded events (Panther, CloudTrail of attacks,
Google Cloud and Workspace, other projects' own tests) and on events made from the rules themselves
(invent.py), and random rules on random ones (generate.py); our own cases are asked too (cases.py).
`picket scan --input raw --matches` must say the same.

pySigma comes from PyPI into a cache outside the tree (PICKET_CACHE, else ~/.cache/picket); without
it, or without the shared data, the test says SKIP and counts it. A difference is a bug; where the
two differ by decision the reason is written down: REFUSALS below, `pysigma` in a case.

  tests/rules/oracle/run.py --picket build/release/picket [--long] [--seed N]
"""
import argparse
import collections
import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PYSIGMA = "2.0.1"
SAMPLE = 100  # other rules tried on an invented event; --long tries all
RANDOM_RULES = 400
SHOWN = 20
DEPTH_MAX, FIELDS_MAX, VALUE_MAX = 32, 1024, 64 * 1024  # of rules/event.h

# Rules that one side loads and the other does not: part of picket's message, and why that is right.
REFUSALS = (
    ("`timeframe` was removed", "a window without a correlation; ignoring it widens the rule"),
    ("`action: global", "templates were removed; pySigma reads what they are pasted to as rules"),
    ("has no list of values", "a placeholder without a list matches nothing, or everything"),
    ("expand finds no placeholder", "the value's percent sign is no placeholder"),
)


def skip(why):
    print(f"SKIP second oracle: {why}")
    print("oracle: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)


def with_pysigma():
    """Runs this program again inside the cache's virtual environment, unless it does already."""
    cache = pathlib.Path(os.environ.get("PICKET_CACHE", pathlib.Path.home() / ".cache/picket"))
    home = cache / f"pysigma-{PYSIGMA}"
    python = home / "bin/python"
    if pathlib.Path(sys.prefix).resolve() == home.resolve():
        return
    if not (home / "complete").exists():
        steps = (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", f"pysigma=={PYSIGMA}"],
        )
        for step in steps:
            try:
                done = subprocess.run(step, capture_output=True, text=True, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as problem:
                skip(f"pySigma {PYSIGMA} cannot be installed: {problem}")
            if done.returncode != 0:
                words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
                skip(f"pySigma {PYSIGMA} cannot be installed: {words[-1]}")
        (home / "complete").touch()
    sys.stdout.flush()
    os.execv(python, [str(python), "-B", str(pathlib.Path(__file__).resolve()), *sys.argv[1:]])


# ---- what is tried


def panther(data):
    for line in open(data / "panther/public.jsonl", encoding="utf-8"):
        event = json.loads(line).get("event")
        if isinstance(event, dict):
            yield event


def triples(data):
    for line in open(data / "sigma-triples/public.jsonl", encoding="utf-8"):
        case = json.loads(line)
        for event in case.get("events") or []:
            event = event.get("event", event) if case["kind"] == "correlation" else event
            if isinstance(event, dict):
                yield event


def cloudtrail(data):
    for path in sorted((data / "stratus-cloudtrail").glob("*.json")):
        yield from json.loads(path.read_text(encoding="utf-8"))


def google_cloud(data):
    for path in sorted((data / "gcp-security-analytics").glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        yield from found if isinstance(found, list) else [found]


def workspace(data):
    for path in sorted((data / "invictus-gws").glob("*.json")):
        for activity in json.loads(path.read_text(encoding="utf-8"))["activities"]:
            yield activity
            # A collector that splits an activity makes one record of each of its events.
            for one in activity.get("events", []):
                values = {p["name"]: p.get("value") for p in one.get("parameters", ())}
                yield {"eventService": activity["id"]["applicationName"],
                       "eventName": one.get("name"), **values}


def otrf(data):
    with zipfile.ZipFile(data / "otrf-aws/ec2_proxy_s3_exfiltration.zip") as archive:
        for line in archive.read(archive.namelist()[0]).decode().splitlines():
            yield json.loads(line)
    with zipfile.ZipFile(data / "otrf-aws/aws_s3_honeybucketlogs.zip") as archive:
        text = archive.read(archive.namelist()[0]).decode()
        yield from csv.DictReader(io.StringIO(text))


def text_logs(data):
    """Every 20th line: keywords are all that can find anything in them."""
    for path in sorted((data / "loghub").glob("*/*_2k.log")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[::20]:
            yield {"message": line}


DATA_SETS = {
    "panther": panther,
    "stratus-cloudtrail": cloudtrail,
    "gcp": google_cloud,
    "workspace": workspace,
    "otrf-aws": otrf,
    "sigma-triples": triples,
    "text-logs": text_logs,
}


def within_limits(value, depth=1):
    """What picket keeps whole. Beyond it fields are cut and flagged, which is tested elsewhere."""
    if isinstance(value, dict):
        return depth < DEPTH_MAX and all(within_limits(v, depth + 1) for v in value.values())
    if isinstance(value, list):
        return len(value) < FIELDS_MAX and all(within_limits(v, depth + 1) for v in value)
    return not isinstance(value, str) or len(value.encode(errors="replace")) <= VALUE_MAX


def lines_of(events):
    """One JSON text an event, each once; and how many were beyond the limits."""
    lines, beyond = {}, 0
    for event in events:
        if within_limits(event):
            lines[json.dumps(event)] = True
        else:
            beyond += 1
    return list(lines), beyond


# ---- the rules, read by both


class Rules:
    """Files of the corpus; what pySigma made of each, and what picket said about it."""

    def __init__(self, folder):
        self.folder = folder
        self.by_key = {}  # id -> (file, rule)
        self.tests = {}  # id -> function of an Event
        self.asking = collections.defaultdict(list)  # field, None for keywords -> ids
        self.negative = []  # ids of rules that hold for an event without any field
        self.unknown = collections.Counter()
        self.problems = []

    def forget(self, path):
        """Rules of a file that picket refuses by decision are not compared."""
        for key in [key for key, (file, _) in self.by_key.items() if file == path]:
            del self.by_key[key], self.tests[key]

    def read(self, path):
        from sigma.collection import SigmaCollection
        from sigma.rule import SigmaRule

        from evaluate import Event, Unknown, compile_rule, names_of

        try:
            found = SigmaCollection.from_yaml(path.read_text(encoding="utf-8")).rules
            found = [rule for rule in found if isinstance(rule, SigmaRule)]
            for rule in found:
                _ = [condition.parsed for condition in rule.detection.parsed_condition]
        except Exception as problem:  # whatever pySigma raises is its refusal
            return f"{type(problem).__name__}: {problem}"
        for rule in found:
            key = str(rule.id or rule.title)
            try:
                self.tests[key] = compile_rule(rule)
                self.by_key[key] = (path, rule)
            except Unknown as problem:
                self.unknown[str(problem)] += 1
                continue
            for condition in rule.detection.parsed_condition:
                for name in names_of(condition.parsed):
                    self.asking[name].append(key)
            if self.tests[key](Event("{}")):
                self.negative.append(key)
        return None

    def concerned(self, event):
        """A rule none of whose fields an event has says what it says of an empty event: only the
        others, and those that hold for an empty one, have to be asked."""
        names = set()
        for name in event.fields:  # an outer name is asked for by null and exists
            parts = name.split(".")
            names.update(".".join(parts[:size]) for size in range(1, len(parts) + 1))
        return {*self.asking[None], *self.negative}.union(
            *(self.asking[name] for name in names if name in self.asking))

    def read_random(self, refused):
        """As compare(), but what either refuses is only counted: how many both read."""
        ours, theirs = 0, collections.Counter()
        for path in sorted(self.folder.rglob("*.yml")):
            problem = self.read(path)
            ours += str(path) in refused and problem is None
            theirs[(problem or "").split(":")[0]] += problem is not None
            if str(path) in refused:
                self.forget(path)
        print(f"oracle: random rules: {len(self.by_key)} read by both, {ours} only by pySigma; "
              f"pySigma refuses {dict(theirs)}")
        return len(self.by_key)

    def compare(self, refused):
        """Reads every file; says where the two do not agree that it is a rule."""
        count, loaded, reasons = 0, 0, collections.Counter()
        for path in sorted(self.folder.rglob("*.yml")):
            count += 1
            ours = refused.get(str(path))
            theirs = self.read(path)
            reason = next((why for part, why in REFUSALS if ours and part in ours), None)
            if reason is not None:
                reasons[reason] += 1
                self.forget(path)
            elif (ours is None) != (theirs is None):
                name = path.relative_to(self.folder)
                self.problems.append(f"{name}: picket {ours or 'loads it'}; "
                                     f"pySigma {theirs or 'loads it'}")
            loaded += ours is None
        print(f"oracle: {count} rule files, picket loads {loaded}, pySigma {PYSIGMA} reads "
              f"{len(self.by_key)} rules of them")
        for reason, times in reasons.most_common():
            print(f"oracle: decision, {times} files picket refuses: {reason}")
        for reason, times in self.unknown.most_common():
            print(f"oracle: {times} rules beyond the oracle: {reason}")


def refused_by(picket, folder):
    """file -> message, from `rules lint`."""
    done = subprocess.run([picket, "rules", "lint", "-o", "json", str(folder)],
                          capture_output=True, text=True, check=False)
    found = {}
    for note in json.loads(done.stdout)["notes"]:
        if note["kind"] == "refused":
            file = note["at"]["file"]
            found[file] = f"{found[file]}; {note['text']}" if file in found else note["text"]
    return found


# ---- the answers


class Comparison:
    def __init__(self, picket, rules, folder):
        self.picket, self.rules, self.folder = picket, rules, folder
        self.differences = []
        self.pairs = self.matches = 0

    def scan(self, name, lines):
        """index of the line -> set of rules, as picket sees it."""
        path = self.folder / f"{name}.ndjson"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        done = subprocess.run(
            [self.picket, "scan", "--rules", str(self.rules.folder), "--skip-refused", "--input",
             "raw", "--matches", str(path)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"picket scan ended with {done.returncode}:\n{done.stderr[-2000:]}")
        found = [set() for _ in lines]
        for line in done.stdout.splitlines():
            match = json.loads(line)
            key = match["rule"]["id"] or match["rule"]["title"]
            found[match["event"]["line"] - 1].add(key)
        return found

    def judge(self, name, lines, wanted):
        """wanted(i): the rules to ask about line i, beside those picket found; None is all."""
        from evaluate import Event

        start = time.monotonic()
        found = self.scan(name, lines)
        counted, pairs, matches = collections.Counter(), 0, 0
        for index, line in enumerate(lines):
            event = Event(line)
            asked = wanted(index)
            pairs += len(self.rules.tests if asked is None else asked)
            asked = self.rules.concerned(event) if asked is None else asked
            for key in {*asked, *found[index]} & self.rules.tests.keys():
                holds = self.rules.tests[key](event)
                counted[key] += holds
                matches += holds
                if holds != (key in found[index]):
                    self.differences.append((name, index, key, holds, line))
        self.pairs += pairs
        self.matches += matches
        hit = sum(1 for times in counted.values() if times)
        print(f"oracle: {name}: {len(lines)} events, {pairs} pairs, {matches} matches of {hit} "
              f"rules, {time.monotonic() - start:.0f} s")
        return counted

    def show(self):
        for name, index, key, holds, line in self.differences[:SHOWN]:
            path, rule = self.rules.by_key[key]
            who = "only the oracle" if holds else "only picket"
            print(f"FAIL {name} line {index + 1}: {who} matches "
                  f"{path.relative_to(self.rules.folder)} ({rule.title})\n    {line[:2000]}")


def invented(rules, seed):
    """An event for every rule, and the same one almost right: (lines, the rule of each)."""
    import invent

    lines, keys = [], []
    for key, (_, rule) in sorted(rules.by_key.items()):
        chance = invent.make_random(seed, key)
        event = invent.invent(rule, chance)
        for one in (event, invent.spoil(event, chance)):
            lines.append(json.dumps(one, ensure_ascii=chance.random() < 0.5))
            keys.append(key)
    return lines, keys


def try_invented(comparison, seed, everything):
    import invent

    rules = comparison.rules
    lines, keys = invented(rules, seed)
    every = sorted(rules.tests)

    def wanted(index):
        if everything:
            return None
        return {keys[index], *invent.make_random(seed, f"sample {index}").sample(every, SAMPLE)}

    counted = comparison.judge("invented", lines, wanted)
    untouched = [key for key in every if not counted[key]]
    print(f"oracle: {len(every) - len(untouched)} of {len(every)} rules match an invented event")
    return len(every) - len(untouched)


def try_random(picket, seed, times, folder):
    """Random rules on events made from them and on random ones."""
    import generate
    import invent

    failed = 0
    for round_number in range(times):
        chance = invent.make_random(seed, f"round {round_number}")
        here = folder / f"random-{round_number}"
        (here / "rules").mkdir(parents=True)
        for number in range(RANDOM_RULES):
            path = here / "rules" / f"{number:04d}.yml"
            path.write_text(generate.rule(chance, number), encoding="utf-8")
        rules = Rules(here / "rules")
        read = rules.read_random(refused_by(picket, rules.folder))
        comparison = Comparison(picket, rules, here)
        lines = [json.dumps(generate.event(chance)) for _ in range(RANDOM_RULES // 2)]
        for _, one in sorted(rules.by_key.items()):
            made = invent.invent(one[1], chance)
            lines += [json.dumps(made), json.dumps(invent.spoil(made, chance))]
        comparison.judge(f"random-{round_number}", lines, lambda _: None)
        comparison.show()
        failed += len(comparison.differences) + (read < RANDOM_RULES // 2)
    return failed


def show_matches(per_set):
    """The expected matches of the corpus: rules by data set, the most frequent first."""
    for name, (counted, rules) in per_set.items():
        for key, times in counted.most_common():
            if times:
                path, rule = rules.by_key[key]
                print(f"match: {name}: {times} x {rule.title} [{path.stem}]")


def run(arguments, data):
    from cases import try_cases

    failed = try_cases(HERE.parent / "cases")
    with tempfile.TemporaryDirectory(prefix="picket-oracle-") as temporary:
        folder = pathlib.Path(temporary)
        (folder / "rules").mkdir()
        archive = data / "sigmahq-rules/sigma-rules.tar.xz"
        subprocess.run(["tar", "-xJf", archive, "-C", folder / "rules"], check=True)
        rules = Rules(folder / "rules")
        rules.compare(refused_by(arguments.picket, rules.folder))
        comparison = Comparison(arguments.picket, rules, folder)
        per_set = {}
        for name, events in DATA_SETS.items():
            lines, beyond = lines_of(events(data))
            if beyond:
                print(f"oracle: {name}: {beyond} events beyond the limits left out")
            per_set[name] = (comparison.judge(name, lines, lambda _: None), rules)
        print(f"oracle: seed {arguments.seed}")
        touched = try_invented(comparison, arguments.seed, arguments.long)
        failed += try_random(arguments.picket, arguments.seed, 20 if arguments.long else 2, folder)
        show_matches(per_set)
        comparison.show()
        for problem in rules.problems:
            print(f"FAIL {problem}")
        failed += len(comparison.differences) + len(rules.problems)
        if touched * 10 < len(rules.tests) * 9:
            print("FAIL fewer than nine in ten rules match the event made for them")
            failed += 1
        print(f"oracle: {comparison.pairs} rule-event pairs, {comparison.matches} matches, "
              f"{len(comparison.differences)} differences")
        print(f"oracle: {len(DATA_SETS) + 4 if not failed else 0} passed, {failed} failed, "
              f"0 skipped")
        return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--picket", default=str(ROOT / "build/release/picket"))
    parser.add_argument("--long", action="store_true", help="every rule on every invented event")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PICKET_SEED", "20261122")))
    arguments = parser.parse_args()
    data = pathlib.Path(os.environ.get("PICKET_DATA", ROOT.parent / "shared/data"))
    if not (data / "sigmahq-rules/sigma-rules.tar.xz").exists():
        skip(f"{data} is not there")
    with_pysigma()
    sys.path.insert(0, str(HERE))
    sys.exit(run(arguments, data))


if __name__ == "__main__":
    main()
