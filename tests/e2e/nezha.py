#!/usr/bin/env python3
"""Real services with injected faults before the gate: Nezha's TrainTicket, 2023-01-30.

    nezha.py PICKET WORK_DIR [DATA_DIR]      (default $PICKET_DATA, else ../shared/data)

The set has traces and logs of one build in windows of three minutes, each around one fault of one
service. Of each such service a canary is made for every fault (its own records from the injection
to the end of the window) and one without any (every second fault-free stretch). The baseline beside
it are its fault-free stretches, in the same buckets; the half hour before, which only gives the
latency thresholds, are the minutes with faults of other services. Times are moved, durations and
levels are as recorded. A server span is a request; spans carry no status, so each counts as 200,
and the policy asks nothing of http_5xx.

Holds: a canary without a fault never FAILs, one with a fault never PASSes. Prints a table; exit 0
when it holds, 2 when the data are not there.
"""
import calendar
import csv
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time

SET = "nezha-trainticket/2023-01-30/nezha-trainticket-2023-01-30.tar.xz"
QUIET = "11_39"            # the minute before the first fault
GUARD, WINDOW = 2, 180     # seconds
HISTORY, LEAD = 1500, 1560  # seconds that the half hour before is played in; the canary begins then
POLICY = """name: nezha
bake: 1m
warmup: 0s
requests_min: 1
coverage_requests_min: 1
outcomes:
    http_5xx: {required: false}
    authn_failure: {required: false}
    authz_denied: {required: false}
"""


def service_of(pod):
    return re.sub(r"-[0-9a-f]{8,10}-[0-9a-z]{5}$", "", pod)


class Fault:
    def __init__(self, row):
        named = calendar.timegm(time.strptime(row["inject_time"], "%Y-%m-%d %H:%M:%S"))
        # Both are UTC and some differ by a minute: clean is before both, faulty after both.
        self.first = min(named, int(row["inject_timestamp"]))
        self.last = max(named, int(row["inject_timestamp"]))
        self.service = service_of(row["inject_pod"])
        self.kind = row["inject_type"]
        self.begin = self.first // 60 * 60

    def name(self):
        return time.strftime("%H:%M", time.gmtime(self.last))


class Recording:
    """Server spans and error logs of the services that have faults, by time."""

    def __init__(self, path):
        self.faults, self.spans, self.errors, self.minutes = [], [], [], set()
        with tarfile.open(path, "r:xz") as archive:
            for member in archive:
                name = member.name
                if name.endswith("fault_list.json"):
                    groups = json.load(archive.extractfile(member))
                    self.faults = [Fault(row) for group in groups.values() for row in group]
                elif name.endswith(("_trace.csv", "_log.csv")):
                    text = io.TextIOWrapper(archive.extractfile(member), encoding="utf-8")
                    self.read(csv.DictReader(text), name)
        wanted = {fault.service for fault in self.faults}
        self.spans = sorted(span for span in self.spans if span[1] in wanted)
        self.errors = sorted(error for error in self.errors if error[1] in wanted)

    def read(self, rows, name):
        trace = name.endswith("_trace.csv")
        for row in rows:
            if trace and row["OperationName"].startswith("/"):
                at = int(row["StartTimeUnixNano"]) / 1e9
                self.minutes.add(int(at) // 60 * 60)
                self.spans.append((at, service_of(row["PodName"]), row["OperationName"],
                                   int(float(row["Duration"]) * 1000), row["TraceID"]))
            elif not trace and re.search(r'"log":"\S+ ERROR ', row["Log"]):
                self.errors.append((int(row["TimeUnixNano"]) / 1e9, service_of(row["PodName"]),
                                    row["TraceID"]))

    def stretch_of(self, at):
        """Which fault-free stretch the moment lies in; None: none."""
        if time.strftime("%H_%M", time.gmtime(at)) == QUIET:
            return -1
        for i, fault in enumerate(self.faults):
            if fault.begin <= at < fault.first - GUARD:
                return i
        return None

    def others(self, service):
        """Seconds with a fault of another service, or none."""
        return [minute for minute in sorted(self.minutes)
                if not any(fault.service == service and fault.begin <= minute < fault.begin + WINDOW
                           for fault in self.faults)]


def event(at, service, version, span=None, trace=""):
    made = {"@timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
            + f".{int(at % 1 * 1000):03d}Z", "ecs.version": "9.0.0", "trace": {"id": trace},
            "service": {"name": service, "version": version, "node": {"name": version + "-0"}}}
    if span is None:
        made["log"] = {"level": "error"}
    else:
        made["http"] = {"request": {"method": "GET"}, "route": span[2],
                        "response": {"status_code": 200}}
        made["event"] = {"duration": span[3]}
    return made


class Trial:
    """One canary beside its baseline, as a service of its own."""

    def __init__(self, recording, service, fault, number):
        self.service, self.fault = service, fault
        self.name = f"{service}~{number}"
        self.recording = recording
        spans = [span for span in recording.spans if span[1] == service]
        errors = [error for error in recording.errors if error[1] == service]
        self.requests = 0
        self.parts = {part: ([], []) for part in ("history", "baseline", "canary")}
        others = set(recording.others(service))
        for i, rows in enumerate((spans, errors)):
            for row in rows:
                if int(row[0]) // 60 * 60 in others:
                    self.parts["history"][i].append(row)
                part = self.part_of(row[0])
                if part:
                    self.parts[part][i].append(row)

    def part_of(self, at):
        stretch = self.recording.stretch_of(at)
        if self.fault is None:
            return None if stretch is None else "canary" if stretch % 2 else "baseline"
        if self.fault.last <= at < self.fault.begin + WINDOW:
            return "canary"
        return None if stretch is None else "baseline"

    def seconds(self):
        """How long the canary ran."""
        times = [row[0] for row in self.parts["canary"][0]]
        if self.fault is not None:
            return self.fault.begin + WINDOW - self.fault.last
        return 10 * len({int(at) // 10 for at in times})

    def events(self, start):
        length = self.seconds()
        for part, (version, begin, span) in {"history": ("v1", start, HISTORY),
                                             "baseline": ("v1", start + LEAD, length),
                                             "canary": ("v2", start + LEAD, length)}.items():
            spans, errors = self.parts[part]
            order = sorted([row[0] for row in spans + errors])
            place = {at: begin + span * i / max(1, len(order)) for i, at in enumerate(order)}
            for row in spans:
                yield event(place[row[0]], self.name, version, span=row, trace=row[4])
            for row in errors:
                yield event(place[row[0]], self.name, version, trace=row[2])

    def end(self, start):
        return int(start + LEAD + self.seconds()) // 10 * 10 + 10


def answer(picket, server, trial, at):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    out = subprocess.run([picket, "gate", "--service", trial.name, "--canary", "v2", "--baseline",
                          "v1", "--policy", "nezha", "--at", stamp, "-o", "json", "--dry-run",
                          "--server", server], capture_output=True, text=True, check=False)
    return json.loads(out.stdout)


def show(trial, verdict):
    outcomes = {one["name"]: one for one in verdict["outcomes"]}
    cells = [f"{trial.service} {trial.fault.name()} {trial.fault.kind}" if trial.fault
             else f"{trial.service} without a fault", verdict["verdict"]]
    http = outcomes["http_5xx"]
    cells.append(f"{http['n_c']} / {http['n_b']}")
    for name in ("latency_p50", "latency_p90", "latency_p99", "error_log"):
        one = outcomes.get(name)
        cells.append("-" if one is None or one["n_c"] + one["n_b"] == 0
                     else f"{one['x_c']}/{one['n_c']} {one['x_b']}/{one['n_b']}")
    cells.append(f"{verdict['e_value']:.3g}")
    print("| " + " | ".join(cells) + " |", flush=True)


def play(picket, work, trials, start):
    with open(os.path.join(work, "nezha.ndjson"), "w", encoding="utf-8") as file:
        made = [one for trial in trials for one in trial.events(start)]
        made.sort(key=lambda one: one["@timestamp"])
        file.writelines(json.dumps(one) + "\n" for one in made)
    with open(os.path.join(work, "nezha-policy.yaml"), "w", encoding="utf-8") as file:
        file.write(POLICY)
    with open(os.path.join(work, "nezha-rule.yml"), "w", encoding="utf-8") as file:
        file.write("title: t\nid: 0b6f3c1e-0d52-4f0b-8d7e-3a1c5e7f9b21\nlogsource: {category: x}\n"
                   "detection: {a: {event.action: never}, condition: a}\n")
    config = os.path.join(work, "nezha.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"data_dir: {work}/nezha.data\nfiles: [{work}/nezha.ndjson]\n"
                   f"rules: {{paths: [{work}/nezha-rule.yml]}}\napi: {{listen: 'off'}}\n"
                   f"gate: {{policies: [{work}/nezha-policy.yaml]}}\n")
    return config, len(made)


def wait_until_read(picket, server, count, process):
    for _ in range(600):
        if process.poll() is not None:
            return False
        out = subprocess.run([picket, "status", "-o", "json", "--server", server],
                             capture_output=True, text=True, check=False)
        if out.stdout and json.loads(out.stdout)["records"]["stored"] >= count:
            return True
        time.sleep(0.1)
    return False


def main():
    picket, work = map(os.path.abspath, sys.argv[1:3])
    data = sys.argv[3] if len(sys.argv) > 3 else os.environ.get("PICKET_DATA") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../../../shared/data")
    path = os.path.join(data, SET)
    if not os.path.exists(path):
        print(f"SKIP Nezha TrainTicket: {SET} is not in PICKET_DATA")
        return 2
    os.makedirs(work, exist_ok=True)
    recording = Recording(path)
    trials = [Trial(recording, fault.service, fault, i) for i, fault in enumerate(recording.faults)]
    for service in sorted({fault.service for fault in recording.faults}):
        trials.append(Trial(recording, service, None, len(trials)))
    # The thresholds are kept by half hours of the clock.
    start = (int(time.time()) - 7200) // 1800 * 1800 + 120
    config, count = play(picket, work, trials, start)
    server = f"unix:{work}/nezha.data/picket.sock"
    wrong = 0
    with open(os.path.join(work, "nezha.log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen([picket, "run", "-c", config], stderr=log)
        try:
            if not wait_until_read(picket, server, count, process):
                print(f"picket did not read everything; see {work}/nezha.log", file=sys.stderr)
                return 1
            print("| canary | verdict | requests canary / baseline | above p50: canary baseline "
                  "| p90 | p99 | error logs | e-value |\n|---|---|---|---|---|---|---|---|")
            for trial in trials:
                verdict = answer(picket, server, trial, trial.end(start))
                show(trial, verdict)
                wrong += verdict["verdict"] == ("PASS" if trial.fault else "FAIL")
        finally:
            process.terminate()
            process.wait()
    print(f"{len(trials)} canaries, {len(recording.faults)} with a fault: {wrong} wrong")
    return 1 if wrong else 0


sys.exit(main())
