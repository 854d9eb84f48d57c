#!/usr/bin/env python3
"""A load whose answer is known: lines for produce.py on standard output, the answer in a file.

    load.py --count N --partitions logs-auth:2,logs-orders:2 --expect FILE [--span SECONDS]
            [--noise BYTES]

Record number i goes to the partitions in turn and carries event.sequence = i. Event times rise from
SPAN seconds ago to now. In it are guessed passwords (one user twice, with a pause longer than the
rule's window: two alerts), reads across tenants, and records that are cut off in the middle. NOISE
is a part of each event that no compression makes smaller.

FILE holds {"partitions": ["TOPIC PARTITION COUNT", ...], "quarantined": N, "sequences": [...],
"alerts": ["RULE TENANT GROUP COUNT", ...]}: what a store must hold afterwards, and nothing else.
"""
import argparse
import base64
import datetime
import json
import random
import time

BROKEN_EVERY, BROKEN_AT = 97, 13
LOGIN_EVERY, LOGIN_AT = 20, 3
BREACH_EVERY, BREACH_AT = 1000, 1
# (first, last) as parts of the load; user; when it is the same alert as the one before
ATTACKS = [(0.05, 0.15, "u1"), (0.30, 0.45, "u2"), (0.85, 0.95, "u1")]
BREACHER = "u9"


def stamp(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def group(**fields):
    return json.dumps(fields, separators=(",", ":"))


class Load:
    def __init__(self, count, span, noise):
        self.count, self.span, self.noise = count, span, noise
        self.random = random.Random(1)
        self.begin = time.time() - span
        self.logins = [0] * len(ATTACKS)
        self.breaches = 0

    def event(self, number):
        """The fields of record `number`."""
        part = number / self.count
        event = {
            "@timestamp": stamp(self.begin + part * self.span),
            "event.sequence": number,
            "service.name": "orders",
            "tenant.id": "acme",
            "message": "request served " + "x" * 60,
        }
        if self.noise:
            event["noise"] = base64.b64encode(self.random.randbytes(self.noise)).decode()
        if number % BREACH_EVERY == BREACH_AT:
            self.breaches += 1
            event |= {
                "user.id": BREACHER,
                "target.tenant.id": "globex",
                "event.outcome": "success",
                "http.response.status_code": 200,
            }
        elif number % LOGIN_EVERY == LOGIN_AT:
            for index, (first, last, user) in enumerate(ATTACKS):
                if first <= part < last:
                    self.logins[index] += 1
                    event |= {
                        "event.category": "authentication",
                        "event.outcome": "failure",
                        "user.id": user,
                    }
        return event

    def record(self, number):
        """(value, whether it can be read)"""
        if number % BROKEN_EVERY == BROKEN_AT:
            return f'{{"event.sequence": {number}, "message": "cut of', False
        return json.dumps(self.event(number), separators=(",", ":")), True

    def alerts(self):
        found = [
            f"brute_force_user acme {group(**{'user.id': user})} {self.logins[index]}"
            for index, (_, _, user) in enumerate(ATTACKS)
        ]
        fields = {"service.name": "orders", "user.id": BREACHER, "target.tenant.id": "globex"}
        found.append(f"cross_tenant_access acme {group(**fields)} {self.breaches}")
        return sorted(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--partitions", required=True)
    parser.add_argument("--expect", required=True)
    parser.add_argument("--span", type=float, default=600)
    parser.add_argument("--noise", type=int, default=0)
    arguments = parser.parse_args()
    partitions = []
    for item in arguments.partitions.split(","):
        topic, count = item.split(":")
        partitions += [(topic, number) for number in range(int(count))]
    load = Load(arguments.count, arguments.span, arguments.noise)
    counts = {f"{topic} {number}": 0 for topic, number in partitions}
    sequences = []
    for number in range(arguments.count):
        topic, partition = partitions[number % len(partitions)]
        value, readable = load.record(number)
        counts[f"{topic} {partition}"] += 1
        if readable:
            sequences.append(number)
        print(json.dumps({"topic": topic, "partition": partition, "value": value}))
    with open(arguments.expect, "w") as file:
        expected = {
            "partitions": [f"{name} {number}" for name, number in counts.items()],
            "quarantined": arguments.count - len(sequences),
            "sequences": sequences,
            "alerts": load.alerts(),
        }
        json.dump(expected, file)


if __name__ == "__main__":
    main()
