#!/usr/bin/env python3
"""gate_questions.py PICKET WORK_DIR [CANARIES] [ROUNDS]: what one answer of /v1/gate costs a daemon.

CANARIES services (default 1,000), each with two versions that serve ten routes for ten minutes and
call three others: as many sessions. `picket run` reads them from a file and stays; then every canary is
asked for ROUNDS times (default 3) over one connection of the socket, in turn, so that no question finds
the one before in a cache. The first round builds the evidence and is told apart. Printed: the answers'
wall time as the client sees it, and the CPU of the daemon by /proc, which a busy machine does not hide.
"""
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.parse

RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../rules/packs")
SECONDS = 600
ROUTES = 10
CALLEES = ("payments", "mail", "stock")
REQUESTS = 60  # of each service: the rows of the gate are what is measured, not the intake


class Local(http.client.HTTPConnection):
    """HTTP over the daemon's socket."""

    def __init__(self, path):
        super().__init__("picket")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + "Z"


def play(path, services):
    begin = time.time() - SECONDS - 30
    dice = random.Random(20261122)
    with open(path, "w", encoding="utf-8") as file:
        for number in range(REQUESTS):
            at = stamp(begin + number * SECONDS / REQUESTS)
            for service in range(services):
                version = "v2" if number % 4 == 3 else "v1"
                event = {"@timestamp": at, "service.name": f"s{service}", "service.version": version,
                         "service.node.name": f"s{service}-{version}-{number % 3}",
                         "user.id": f"u{dice.randrange(999)}", "user.roles": ["viewer"]}
                if number % 5 == 4:
                    event["service.target.name"] = dice.choice(CALLEES)
                    event["tls.established"] = True
                else:
                    event["http.request.method"] = "GET"
                    event["http.route"] = f"/r{dice.randrange(ROUTES)}"
                    event["http.response.status_code"] = 200
                    event["event.duration"] = dice.randrange(1000000, 90000000)
                file.write(json.dumps(event, separators=(",", ":")) + "\n")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        sys.exit(f"{path}: {answer.status} {body[:200]!r}")
    return json.loads(body)


def wait_for_all(connection, count):
    while True:
        records = ask(connection, "/v1/status")["records"]
        if records["stored"] + records["quarantined"] >= count:
            return
        time.sleep(0.5)


def round_of(connection, pid, services):
    took = []
    before = cpu_seconds(pid)
    for service in range(services):
        query = urllib.parse.urlencode({"service": f"s{service}", "canary": "v2", "baseline": "v1",
                                        "dry": "1"})
        began = time.perf_counter()
        ask(connection, "/v1/gate?" + query)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return took, (cpu_seconds(pid) - before) * 1000 / services


def main():
    picket, work = sys.argv[1], os.path.abspath(sys.argv[2])
    services = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    os.makedirs(work, exist_ok=True)
    play(f"{work}/questions.ndjson", services)
    with open(f"{work}/questions.yaml", "w", encoding="utf-8") as file:
        file.write(f"data_dir: {work}/questions.data\nfiles: [{work}/questions.ndjson]\n"
                   f"time: {{trusted: true}}\nworkers: 1\nrules: {{paths: [{RULES}]}}\n"
                   "api: {listen: 'off'}\n")
    socket_path = f"{work}/questions.data/picket.sock"
    with open(f"{work}/questions.log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen([picket, "run", "-c", f"{work}/questions.yaml"], stderr=log)
    try:
        while not os.path.exists(socket_path):
            if daemon.poll() is not None:
                sys.exit(f"picket run ended: {work}/questions.log")
            time.sleep(0.1)
        connection = Local(socket_path)
        wait_for_all(connection, services * REQUESTS)
        time.sleep(2)
        for number in range(rounds):
            took, cpu = round_of(connection, daemon.pid, services)
            print(f"{services} canaries, {'first' if number == 0 else 'next'} question: wall p50 "
                  f"{took[len(took) // 2]:.2f} ms, p99 {took[len(took) * 99 // 100]:.2f} ms, "
                  f"CPU {cpu:.2f} ms an answer")
    finally:
        daemon.terminate()
        daemon.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
