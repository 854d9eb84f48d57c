#!/usr/bin/env python3
"""What an OpenTelemetry Collector is sent, and what picket must have made of it.

    collector.py send URL COUNT     posts COUNT log records as OTLP over HTTP, several to a request,
                                    and prints the events they must become, one sorted object a line
    collector.py events             reads `picket events list -o ndjson`, prints them in that form

The expected events are written down beside the records that are sent, not derived from them: what
the collector does on the way (it decodes, and encodes anew for Kafka) and what picket does must
cancel out.
"""
import json
import sys
import time
import urllib.request

PER_REQUEST = 7
PER_SCOPE = 3
SEVERITIES = [(5, "DEBUG"), (9, "INFO"), (13, "WARN"), (17, "ERROR"), (21, "FATAL")]
# What picket itself adds.
IGNORED = ("picket.", "logsource.")


def text(value):
    return {"stringValue": value}


def attributes(**values):
    return [{"key": k.replace("__", "."), "value": v} for k, v in values.items()]


def rfc3339(nanoseconds):
    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def record(number, start):
    """One log record and the fields of its event that do not come from resource or scope."""
    when = start + number * 10**6 + number % 1000
    severity, word = SEVERITIES[number % len(SEVERITIES)]
    trace, span = f"{number + 1:032x}", f"{number + 1:016x}"
    large = 2**53 + number  # more than a double holds
    said = f"order {number} of caf\u00e9 \U0001f6d2 \"quoted\" \\ and a tab\t."
    items = [text(f"item-{number}"), text("gift")]
    ship = {"kvlistValue": {"values": attributes(city=text("K\u00f6ln"), floor={"intValue": "-3"})}}
    order = attributes(id={"intValue": str(large)}, items={"arrayValue": {"values": items}}, ship=ship)
    sent = {
        "timeUnixNano": str(when),
        "observedTimeUnixNano": str(when + 10**6),
        "severityNumber": severity,
        "severityText": word,
        "body": text(said),
        "traceId": trace,
        "spanId": span,
        "attributes": attributes(
            number={"intValue": str(number)},
            share={"doubleValue": 0.25},
            cached={"boolValue": number % 2 == 0},
            order={"kvlistValue": {"values": order}},
        ),
    }
    event = {
        "@timestamp": rfc3339(when),
        "event.created": rfc3339(when + 10**6),
        "severity_number": severity,
        "log.level": word,
        "message": said,
        "trace.id": trace,
        "span.id": span,
        "number": number,
        "share": 0.25,
        "cached": number % 2 == 0,
        "order.id": large,
        "order.items": [f"item-{number}", "gift"],
        "order.ship.city": "K\u00f6ln",
        "order.ship.floor": -3,
    }
    return sent, event


def request(numbers, start):
    """A message with one resource for each service and scopes of a few records."""
    resources, events = [], []
    for service in ("cart", "pay"):
        scopes = []
        mine = [n for n in numbers if ("cart", "pay")[n // PER_SCOPE % 2] == service]
        for scope in sorted({n // PER_SCOPE for n in mine}):
            pairs = [record(n, start) for n in mine if n // PER_SCOPE == scope]
            name = f"{service}.scope{scope % 4}"
            scopes.append({"scope": {"name": name, "version": "3"}, "logRecords": [p[0] for p in pairs]})
            for _, event in pairs:
                event |= {
                    "service.name": service,
                    "service.version": "1.4.2",
                    "service.node.name": f"{service}-0",
                    "service.environment": "prod",
                    "team": "blue",
                    "scope.name": name,
                    "scope.version": "3",
                    "log.logger": name,
                }
                events.append(event)
        about = attributes(
            service__name=text(service),
            service__version=text("1.4.2"),
            service__instance__id=text(f"{service}-0"),
            deployment__environment__name=text("prod"),
            team=text("blue"),
        )
        if scopes:
            resources.append({"resource": {"attributes": about}, "scopeLogs": scopes})
    return {"resourceLogs": resources}, events


def print_events(events):
    for event in sorted(events, key=lambda e: e["number"]):
        print(json.dumps(event, sort_keys=True, ensure_ascii=False))


def send(url, count):
    start = (int(time.time()) - count // 1000 - 1) * 10**9
    events = []
    for first in range(0, count, PER_REQUEST):
        body, expected = request(range(first, min(count, first + PER_REQUEST)), start)
        post = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(post, timeout=20) as answer:
            said = json.load(answer)
            if said.get("partialSuccess"):
                raise SystemExit(f"collector.py: the collector refused some: {said}")
        events += expected
    print_events(events)


def main(arguments):
    if arguments[:1] == ["send"] and len(arguments) == 3:
        send(arguments[1], int(arguments[2]))
    elif arguments == ["events"]:
        events = (json.loads(line)["event"] for line in sys.stdin)
        print_events([{k: v for k, v in e.items() if not k.startswith(IGNORED)} for e in events])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
