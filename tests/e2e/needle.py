"""One event among many: the only access across tenants in EVENTS events of a service is found.

    needle.py PICKET WORK_DIR [EVENTS]

Two services log the same EVENTS events (default 20,000): two days of version v1, then ten minutes of
v1 and v2. Of the service `needle` one event of v2 is another: a viewer is given another tenant's
order. `picket run` reads the file to its end, then the gate is asked for both. Exit 0: it FAILs
`needle` by that one event, points to its line, and finds nothing else, and `haystack` PASSes.
"""
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import time

import signals

PAST_S = 172800
CANARY_S = 600
SERVICES = ("haystack", "needle")
BREACH = {"event.id": "the-needle", **signals.NEEDLES["tenant"]}


def play(path, count):
    """A tenth of the events are of the past; the needle is in the middle of the canary's."""
    end = time.time()
    past = count // 10
    both = count - past
    dice = random.Random(20261122)
    with open(path, "w", encoding="utf-8") as file:
        for tick in range(past):
            for service in SERVICES:
                signals.write(file, end - PAST_S + tick * (PAST_S - CANARY_S) / past, service, "v1",
                              signals.usual(tick))
        for tick in range(both):
            at = end - CANARY_S + tick * CANARY_S / both
            version = "v2" if dice.random() < 0.25 or tick == both // 2 else "v1"
            for service in SERVICES:
                found = service == "needle" and tick == both // 2
                signals.write(file, at, service, version, BREACH if found else signals.usual(tick))


def read_to_the_end(picket, work, daemon):
    """The status once every event of the file is stored; fails when the daemon ends before."""
    status = {"state": "starting"}
    while status["state"] != "finished":
        if daemon.poll() is not None:
            sys.exit(f"picket run ended: {work}/signals.log")
        time.sleep(0.3)
        done = subprocess.run([picket, "status", "--server", f"unix:{work}/signals.data/picket.sock",
                               "-o", "json"], capture_output=True, text=True, check=False)
        try:
            status = json.loads(done.stdout)
        except ValueError:
            pass  # it does not listen yet
    return status["records"]


def is_the_needle(place):
    """In a file the offset of an event is the number of its line, from 1."""
    with open(place["topic"], encoding="utf-8") as file:
        line = next(itertools.islice(file, place["offset"] - 1, None))
    return json.loads(line).get("event.id") == BREACH["event.id"]


def main():
    picket, work = sys.argv[1], os.path.abspath(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    os.makedirs(work, exist_ok=True)
    play(os.path.join(work, "signals.ndjson"), count)
    daemon = signals.start(picket, work)
    try:
        records = read_to_the_end(picket, work, daemon)
        signals.check("every event is stored", (2 * count, 0, 0),
                      (records["stored"], records["quarantined"], records["late"]))
        code, answer = signals.gate(picket, work, "haystack")
        signals.check("without it", ("PASS", 0, []), (answer["verdict"], code, signals.found(answer)))
        code, answer = signals.gate(picket, work, "needle")
        signals.check(f"one event among {count}", ("FAIL", 1, ["tenant_breach HARD proven"]),
                      (answer["verdict"], code, signals.found(answer)))
        signals.check("the evidence is its line and no other", [True],
                      [is_the_needle(place) for one in answer["findings"] for place in one["evidence"]])
        signals.check("the reason names it", (["HARD_FINDING"], True),
                      ([one["code"] for one in answer["reasons"]],
                       "viewer GET /orders, 1 time:" in answer["summary"]))
    finally:
        daemon.terminate()
        daemon.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"  {used.ru_utime:.1f} s user and {used.ru_stime:.1f} s system CPU of picket "
          f"for {2 * count} events")
    return 0 if signals.failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
