#!/usr/bin/env python3
"""SIGKILL at random moments while files are read: not one alert is lost, doubled or off by one, and
the evidence about a canary goes on where it was.

    kills.py PICKET WORK_DIR [KILLS [SEED]]

The files hold a world of users, services and amounts, out of order within the lateness; the rules
are one of each correlation type. A run that nobody disturbs says what must come out. Then stores are
begun, killed and begun again until KILLS (default 10) SIGKILLs have hit, with few and many actors, a
checkpoint each second or none, and memory for all cells or for few. Each store that was read to the
end must hold every record once, the alerts of the undisturbed run, to the microsecond, and of each
canary every count and every e-value of every bucket: of the outcomes that are built in, and of a rule
of type cohort_compare, which counts in the correlating stage.
Exit 0: they do; 1: what differs is printed.
"""
import collections
import json
import os
import random
import subprocess
import sys
import time

EVENTS, FILES, SPAN_S, LATE_S = 60000, 3, 7200, 8
USERS, SERVICES, SOURCES, ATTACK_S = 400, 8, 40, 120
ALERTS_MAX = 10000
LIFE_S, EARLY = 0.3, 0.2  # how long it may read; how often it is killed before it begins to
PATIENCE_S = 30

TYPES = {
    "count": "type: event_count, rules: [failed], group-by: [user.id], timespan: 2m, "
             "condition: {gte: 6}",
    "values": "type: value_count, rules: [failed], group-by: [source.ip], timespan: 5m, "
              "condition: {field: user.id, gte: 12}",
    "ordered": "type: temporal_ordered, rules: [failed, granted], group-by: [user.id], timespan: 1s",
    "sum": "type: value_sum, rules: [any], group-by: [user.id], timespan: 1m, "
           "condition: {field: http.response.bytes, gt: 5000}",
    "rank": "type: value_percentile, rules: [any], group-by: [service.name], timespan: 1m, "
            "condition: {field: http.response.bytes, percentile: 95, gt: 975}",
    "few": "type: event_count, rules: [failed], group-by: [service.name], timespan: 30s, "
           "condition: {lt: 5}",
    "chain": "type: event_count, rules: [count], group-by: [user.id], timespan: 30m, "
             "condition: {gte: 4}",
    "sequence": "type: sequence, group-by: [user.id], timespan: 1m, steps: [{rule: failed, count: "
                "{gte: 2}}, {rule: granted, within: 4s, match: {source.ip: source.ip}}]",
    "first": "type: first_seen, rules: [granted], group-by: [user.id], timespan: 1h, learn: {for: "
             "10m}, condition: {field: source.ip}",
    "rare": "type: first_seen, rules: [granted], group-by: [user.id], timespan: 30m, learn: {for: "
            "5m}, peers: {by: [service.name], rare-below: 2}, condition: {field: source.ip}",
    "usual": "type: baseline, rules: [any], group-by: [service.name], timespan: 30s, history: 30m, "
             "min-buckets: 10, condition: {aggregate: count, deviation: {gte: 3}}",
    "silent": "type: absence, rules: [granted], group-by: [user.id], timespan: 6m",
    "risk": "type: risk, group-by: [user.id], timespan: 10m, half-life: 5m, condition: {gte: 60}",
}


COHORT = ("title: login_failure\nname: login_failure\nlevel: medium\n"
          "correlation: {type: cohort_compare, rules: [any], compare: {numerator: failed}}\n"
          "picket: {gate: {canary: warn}}\n")
CANARY_SHARE, CANARY_FAILS = 0.3, 0.05


def rules():
    wanted = {"failed": "event.outcome: failure", "granted": "event.outcome: success",
              "any": "event.kind: event"}
    documents = [f"title: {name}\nname: {name}\nlogsource: {{product: microservice}}\n"
                 f"detection: {{s: {{{selection}}}, condition: s}}\nlevel: informational\n"
                 + ("picket: {risk: {score: 3, on: [user.id], once-per: 0s}}\n"
                    if name == "failed" else "")
                 for name, selection in wanted.items()]
    documents += [f"title: {name}\nname: {name}\nlevel: high\ncorrelation: {{{body}}}\n"
                  + ("generate: true\n" if name == "chain" else "")
                  for name, body in TYPES.items()]
    documents.append(COHORT)
    return "---\n".join(documents)


def write_files(work, seed):
    dice = random.Random(seed)
    begin = int(time.time()) - SPAN_S - 60
    records = []
    for number in range(EVENTS):
        at = begin + SPAN_S * number / EVENTS
        attacked = dice.random() < 0.1  # one user after the other
        user = int(at / ATTACK_S) % USERS if attacked else dice.randrange(USERS)
        home = user % SERVICES
        event = {
            "@timestamp": f"{at:.6f}",
            "event.kind": "event",
            "event.outcome": "failure" if dice.random() < 0.3 else "success",
            "user.id": f"user{user}",
            "service.name": f"service{home if dice.random() < 0.9 else dice.randrange(SERVICES)}",
            "source.ip": f"192.0.2.{user % SOURCES if dice.random() < 0.97 else dice.randrange(SOURCES)}",
            "http.response.bytes": dice.randrange(1000),
            "service.version": "v2" if dice.random() < CANARY_SHARE else "v1",
            "service.node.name": f"node{dice.randrange(4)}",
        }
        bad = event["service.version"] == "v2" and dice.random() < CANARY_FAILS
        event["http.response.status_code"] = 503 if bad else 200
        records.append((at + dice.uniform(0, LATE_S), event))
    paths = [os.path.join(work, f"world{number}.ndjson") for number in range(FILES)]
    files = [open(path, "w", encoding="utf-8") for path in paths]
    for _, event in sorted(records, key=lambda record: record[0]):
        moment = time.gmtime(float(event["@timestamp"]))
        event["@timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%S", moment) + \
            event["@timestamp"][event["@timestamp"].index("."):] + "Z"
        files[dice.randrange(FILES)].write(json.dumps(event) + "\n")
    for file in files:
        file.close()
    return paths


class Node:
    """A store with its settings."""

    def __init__(self, picket, work, name, settings):
        self.picket, self.data = picket, os.path.join(work, f"{name}.data")
        self.config, self.log = (os.path.join(work, f"{name}.{end}") for end in ("yaml", "log"))
        self.lives_that_read = 0
        files = ", ".join(f"{work}/world{number}.ndjson" for number in range(FILES))
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"data_dir: {self.data}\nfiles: [{files}]\ntime: {{trusted: true}}\n"
                       f"lateness: {LATE_S + 2}s\nrules: {{paths: [{work}/rules.yml]}}\n"
                       f"api: {{listen: \"off\"}}\n{settings}\n")

    def start(self):
        with open(self.log, "a", encoding="utf-8") as log:
            return subprocess.Popen([self.picket, "run", "--until-done", "-c", self.config],
                                    stdout=log, stderr=log)

    def wait_until_it_reads(self, process):
        """Or ends. It says so once in each life."""
        before = self.lives_that_read
        while process.poll() is None and self.lives_that_read == before:
            time.sleep(0.01)
            with open(self.log, encoding="utf-8") as log:
                self.lives_that_read = log.read().count("message=reading")

    def read(self, *words, where=None):
        done = subprocess.run([self.picket, *words, *(where or ("--data", self.data))],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def answer(self):
        """What must not depend on any kill: records by partition and every alert in full."""
        status = json.loads(self.read("status", "-o", "json"))["records"]
        lines = [f"records {status['stored']} {status['quarantined']}"]
        alerts = self.read("alerts", "list", "--limit", str(ALERTS_MAX), "-o", "ndjson").splitlines()
        if len(alerts) == ALERTS_MAX:
            sys.exit("the world has more alerts than one page holds")
        for line in alerts:
            alert = json.loads(line)
            lines.append(" ".join(str(part) for part in (
                alert["rule"].get("name") or alert["rule"]["title"], alert["tenant"],
                json.dumps(alert["group"]), alert["first"], alert["last"], alert["count"],
                alert["rule"]["level"], alert["state"])))
        return collections.Counter(lines + self.evidence())

    def evidence(self):
        """Of every service's canary: the outcomes with their counts and e-values, and the course of
        the evidence over the buckets. Only a daemon knows the rules that are outcomes."""
        with open(self.log, "a", encoding="utf-8") as log:
            process = subprocess.Popen([self.picket, "run", "-c", self.config], stderr=log)
        try:
            return self.ask_of_canaries(("--server", f"unix:{self.data}/picket.sock"))
        finally:
            process.terminate()
            process.wait()

    def ask_of_canaries(self, where):
        for _ in range(PATIENCE_S * 10):
            if subprocess.run([self.picket, "status", "-q", *where], capture_output=True,
                              check=False).returncode == 0:
                break
            time.sleep(0.1)
        lines = []
        for number in range(SERVICES):
            answer = json.loads(self.read(
                "gate", "--service", f"service{number}", "--canary", "v2", "--baseline", "v1",
                "--dry-run", "-o", "json", where=where))
            lines += [f"canary of service{number}: {json.dumps(one)}" for one in answer["outcomes"]]
            lines.append(f"canary of service{number}: evidence {answer['e_history']}")
        return lines


def settings(dice):
    return "\n".join([f"workers: {dice.choice([1, 2, 3])}", f"actors: {dice.choice([1, 2, 3])}",
                      f"checkpoint: {dice.choice(['1s', '10s'])}",
                      f"epoch: {dice.choice(['10ms', '50ms', '100ms'])}",
                      f"correlation: {{memory: {dice.choice(['1MiB', '1GiB'])}}}"])


def kill_until_done(node, dice, wanted):
    """Kills lives of the node until one comes to its end; how many died."""
    kills = 0
    while True:
        process = node.start()
        try:
            if kills < wanted and dice.random() >= EARLY:
                node.wait_until_it_reads(process)
            code = process.wait(dice.uniform(0, LIFE_S) if kills < wanted else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            continue
        if code != 0:
            sys.exit(f"picket run ended with {code}: {node.log}")
        return kills


def main():
    picket, work = sys.argv[1], os.path.abspath(sys.argv[2])
    wanted = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 20261122
    dice = random.Random(seed)
    os.makedirs(work, exist_ok=True)
    write_files(work, seed)
    with open(os.path.join(work, "rules.yml"), "w", encoding="utf-8") as file:
        file.write(rules())
    calm = Node(picket, work, "calm", "workers: 1\nactors: 2")
    kill_until_done(calm, dice, 0)
    expected = calm.answer()
    alerts = sum(expected.values()) - 1 - len([line for line in expected if line.startswith("canary ")])
    silent = set(TYPES) - {line.split()[0] for line in expected}
    counted = [line for line in expected if '"login_failure"' in line and '"n_c": 0' not in line]
    if len(counted) != SERVICES:
        sys.exit(f"WRONG the rule about canaries counted nothing: {calm.evidence()}")
    if silent:
        sys.exit(f"WRONG no alert of {sorted(silent)}: the world proves nothing about them")
    kills = stores = wrong = 0
    while kills < wanted:
        node = Node(picket, work, f"killed{stores}", settings(dice))
        kills += kill_until_done(node, dice, wanted - kills)
        stores += 1
        got = node.answer()
        for line in sorted((got - expected).keys()):
            print(f"WRONG {node.config}: too much: {line}")
        for line in sorted((expected - got).keys()):
            print(f"WRONG {node.config}: missing: {line}")
        wrong += got != expected
        if sys.stdout.isatty() or stores % 5 == 0:
            print(f"  {kills} kills, {stores} stores, {wrong} wrong", flush=True)
        if got == expected:
            subprocess.run(["rm", "-rf", node.data], check=True)
    print(f"  {kills} SIGKILLs over {stores} stores of {EVENTS} records; {alerts} alerts "
          f"of {len(TYPES)} types; {wrong} stores differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
