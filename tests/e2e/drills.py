"""Canaries in trouble: traffic of several services, each with its own fault, and a watcher of the gate.

    drills.py traffic BROKER FOLDER RATE [SERVICE...]
        RATE requests a second of each version of each service, until FOLDER/stop exists; faults begin
        with FOLDER/fault
    drills.py watch SOCKET POLICY SECONDS [SERVICE...]

Every service has a baseline (v1) and an equally good canary (v2), three instances each, in one of four
partitions. Once FOLDER/fault exists, what a service's name says happens to its canary:

    healthy        nothing
    quiet_pod      one of three instances logs no more
    quiet_canary   no instance of it logs
    clock_behind   its clocks are ten minutes slow
    clock_ahead    its clocks are two minutes fast
    lossy          every twentieth record never arrives; the counter of each instance tells
    torn           every record of it is cut in the middle: nothing of it can be read
    broken_1 .. 4  every other request fails

`watch` asks for every service twice a second for so long and prints one line each:
"SERVICE: FIRST_PASS_S VERDICTS", the second in which it first said PASS ("-": never) and all verdicts
it gave, in order, without repetitions.
"""
import http.client
import json
import os
import socket
import sys
import time

from produce import Producer

SERVICES = ("healthy", "quiet_pod", "quiet_canary", "clock_behind", "clock_ahead", "lossy", "torn",
            "broken_1", "broken_2", "broken_3", "broken_4")
REQUESTS = 2  # of each version, service and tick
PODS = 3
LOST_EVERY = 20
PATIENCE_S = 10  # with a daemon that does not answer


def stamp(seconds):
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000000):06d}Z"


class Fleet:
    def __init__(self, producer):
        self.producer = producer
        self.numbers = {}

    def request(self, service, version, count, fault):
        pod = count % PODS
        at = time.time()
        status = 503 if count % 400 == 0 else 200
        name = f"{service}-{version}-{pod}"
        number = self.numbers[name] = self.numbers.get(name, 0) + 1
        if fault and version == "v2":
            if service == "quiet_canary" or (service == "quiet_pod" and pod == 1):
                return
            if service == "lossy" and number % LOST_EVERY == 0:
                return
            at += {"clock_behind": -600, "clock_ahead": 120}.get(service, 0)
            if service.startswith("broken") and count % 2 == 0:
                status = 503
        event = {
            "@timestamp": stamp(at),
            "ecs.version": "9.0.0",
            "event": {"sequence": number},
            "service": {"name": service, "version": version, "node": {"name": name}},
            "user": {"id": f"u{count % 97}"},
            "http": {"request": {"method": "GET"}, "route": "/",
                     "response": {"status_code": status}},
        }
        record = json.dumps(event).encode()
        if fault and version == "v2" and service == "torn":
            record = record[:len(record) // 2]
        self.producer.send("logs-drill", SERVICES.index(service) % 4, record, None)


def traffic(broker, folder, rate, services):
    fleet = Fleet(Producer(broker))
    began = time.monotonic()
    count = ticks = 0
    while not os.path.exists(os.path.join(folder, "stop")):
        fault = os.path.exists(os.path.join(folder, "fault"))
        for _ in range(REQUESTS):
            count += 1
            for service in services:
                for version in ("v1", "v2"):
                    fleet.request(service, version, count, fault)
        ticks += 1
        time.sleep(max(0, began + ticks * REQUESTS / rate - time.monotonic()))
    fleet.producer.finish()


def ask(path, policy, service):
    """What the daemon at that socket says, without being told to remember it."""
    connection = http.client.HTTPConnection("picket", timeout=PATIENCE_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(PATIENCE_S)
    try:
        connection.sock.connect(path)
        connection.request("GET", f"/v1/gate?service={service}&canary=v2&baseline=v1&dry=1"
                           f"&policy={policy}")
        return json.loads(connection.getresponse().read())["verdict"]
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return "UNAVAILABLE"
    finally:
        connection.close()


def watch(path, policy, seconds, services):
    began = time.monotonic()
    first = {}
    said = {service: [] for service in services}
    while time.monotonic() - began < float(seconds):
        for service in services:
            verdict = ask(path, policy, service)
            if verdict == "PASS":
                first.setdefault(service, int(time.monotonic() - began))
            if said[service][-1:] != [verdict]:
                said[service].append(verdict)
        time.sleep(0.5)
    for service in services:
        print(f"{service}: {first.get(service, '-')} {' '.join(said[service])}")


def main(words):
    if words[:1] == ["traffic"] and len(words) >= 4:
        traffic(words[1], words[2], float(words[3]), words[4:] or SERVICES)
    elif words[:1] == ["watch"] and len(words) >= 4:
        watch(*words[1:4], words[4:] or SERVICES)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
