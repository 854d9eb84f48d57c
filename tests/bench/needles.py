#!/usr/bin/env python3
"""needles.py PICKET MOCK_BROKER WORK_DIR [EVENTS] [ROUNDS]: the hard signals of the gate, found and how soon.

Found: a service logs EVENTS events (default 1,000,000): a tenth of them in two days of version v1, the
rest in ten minutes of v1 and v2. `picket run` reads them once as they are, and once for each hard signal
with a second file of one line: the one event of v2 that is the finding. The gate must PASS the first, and
FAIL the others by that signal, that line as the evidence, and nothing else.

How soon: for each signal ROUNDS services (default 100) send through Kafka (librdkafka's mock broker) two days
of v1 and then some events of v1 and v2. Then, one after the other, the one event is produced and the gate
asked every 5 ms, over the daemon's socket, until it says FAIL. The time is from the call of the producer,
which lingers 5 ms, to the answer. Nothing else is sent meanwhile.

Exit 0: every verdict was as said above.
"""
import os
import random
import resource
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "../e2e")]
# pylint: disable=wrong-import-position
import gate_questions  # noqa: E402
import needle  # noqa: E402
import produce  # noqa: E402
import signals  # noqa: E402

SIGNALS = {"authz_allow": "authz", "tenant_breach": "tenant", "unauthenticated": "stranger",
           "plaintext": "plain", "destination": "call"}
PAST = 1200   # events of a service's two days, a fifth of them of each kind
LIVE = 20     # of each version, before the one event
CHUNK = 5000  # the mock broker keeps 5 MB of a partition
POLL_S = 0.005


def run(picket, work, intake):
    subprocess.run(["rm", "-rf", f"{work}/signals.data"], check=True)
    signals.write_settings(work, intake)
    return signals.run(picket, work)


# --- found ------------------------------------------------------------------------------------------

def write_hay(path, count, end):
    past = count // 10
    dice = random.Random(20261122)
    with open(path, "w", encoding="utf-8") as file:
        for tick in range(past):
            signals.write(file, end - needle.PAST_S + tick * (needle.PAST_S - needle.CANARY_S) / past,
                          "hay", "v1", signals.usual(tick))
        for tick in range(count - past):
            signals.write(file, end - needle.CANARY_S + tick * needle.CANARY_S / (count - past), "hay",
                          "v2" if dice.random() < 0.25 else "v1", signals.usual(tick))


def look_for(picket, work, signal, count, end):
    """One reading of the hay, with the needle of the signal when there is one."""
    files = [f"{work}/hay.ndjson"]
    if signal is not None:
        files.append(f"{work}/{signal}.ndjson")
        with open(files[1], "w", encoding="utf-8") as file:
            signals.write(file, end - needle.CANARY_S / 2, "hay", "v2", signals.NEEDLES[SIGNALS[signal]])
    daemon = run(picket, work, f"files: [{', '.join(files)}]")
    try:
        records = needle.read_to_the_end(picket, work, daemon)
        _, answer = signals.gate(picket, work, "hay")
    finally:
        daemon.terminate()
        daemon.wait()
    evidence = [(place["topic"], place["offset"])
                for one in answer.get("findings", ()) for place in one["evidence"]]
    wanted = ("PASS", [], []) if signal is None else \
        ("FAIL", [f"{signal} HARD proven"], [(files[-1], 1)])
    signals.check(f"{signal or 'nothing'} among {count:,}", (wanted, count + len(files) - 1),
                  ((answer["verdict"], signals.found(answer), evidence), records["stored"]))


def find_all(picket, work, count):
    end = time.time()
    write_hay(f"{work}/hay.ndjson", count, end)
    for signal in (None, *SIGNALS):
        look_for(picket, work, signal, count, end)


# --- how soon ---------------------------------------------------------------------------------------

class Line:
    """A file of one line, which is sent."""

    def __init__(self, producer):
        self.producer = producer

    def write(self, text):
        self.producer.send("logs", 0, text.rstrip().encode(), None)


class Sender:
    def __init__(self, broker, connection):
        self.producer = produce.Producer(broker)
        self.line = Line(self.producer)
        self.connection = connection
        self.sent = 0

    def send(self, at, service, version, fields):
        signals.write(self.line, at, service, version, fields)
        self.sent += 1
        if self.sent % CHUNK == 0:
            self.settle()

    def settle(self):
        self.producer.library.rd_kafka_flush(self.producer.client, 10000)
        gate_questions.wait_for_all(self.connection, self.sent)


def gate_of(connection, service, dry):
    query = {"service": service, "canary": "v2", "baseline": "v1", "policy": "patient"}
    if dry:
        query["dry"] = "1"
    return gate_questions.ask(connection, "/v1/gate?" + urllib.parse.urlencode(query))


def wait_until_ready(sender, service, signal):
    """Until the gate knows what the baseline did: it looks at how often at most a minute late."""
    for _ in range(600):
        answer = gate_of(sender.connection, service, True)
        states = [one["state"] for one in answer["signals"] if one["name"] == signal]
        if answer["verdict"] != "FAIL" and states == ["on"]:
            return
        time.sleep(0.2)
    sys.exit(f"{service} is not ready: {answer['verdict']}, {signal} {states}")


def begin(sender, services):
    now = time.time()
    for tick in range(PAST):
        at = now - needle.PAST_S + tick * (needle.PAST_S - needle.CANARY_S) / PAST
        for service in services:
            sender.send(at, service, "v1", signals.usual(tick))
    for tick in range(LIVE):
        for service in services:
            for version in ("v1", "v2"):
                sender.send(time.time(), service, version, signals.usual(tick))
    sender.settle()


def time_one(sender, service, signal):
    began = time.perf_counter()
    sender.send(time.time(), service, "v2", signals.NEEDLES[SIGNALS[signal]])
    while time.perf_counter() - began < 30:
        answer = gate_of(sender.connection, service, False)
        took = time.perf_counter() - began
        if answer["verdict"] == "FAIL":
            signals.failures += signals.found(answer) != [f"{signal} HARD proven"]
            return took * 1000
        sender.producer.library.rd_kafka_poll(sender.producer.client, int(POLL_S * 1000))
    sys.exit(f"{service} does not FAIL by {signal}: {answer['verdict']} {answer['summary']}")


def time_all(picket, broker_program, work, rounds):
    subprocess.run(["rm", "-f", f"{work}/port"], check=True)
    broker = subprocess.Popen([broker_program, "--topics", "logs:1", "--port-file", f"{work}/port"],
                              stdout=subprocess.DEVNULL)
    daemon = None
    try:
        while not os.path.exists(f"{work}/port") or os.path.getsize(f"{work}/port") == 0:
            time.sleep(0.05)
        with open(f"{work}/port", encoding="utf-8") as file:
            address = f"127.0.0.1:{file.read().strip()}"
        daemon = run(picket, work, f"kafka: {{bootstrap_servers: '{address}', group_id: needles, "
                                   "topics: [logs], start: earliest}")
        while not os.path.exists(f"{work}/signals.data/picket.sock"):
            if daemon.poll() is not None:
                sys.exit(f"picket run ended: {work}/signals.log")
            time.sleep(0.1)
        sender = Sender(address, gate_questions.Local(f"{work}/signals.data/picket.sock"))
        services = {f"{signal}-{number}": signal for number in range(rounds) for signal in SIGNALS}
        begin(sender, services)
        for service, signal in services.items():
            wait_until_ready(sender, service, signal)
        took = {signal: [] for signal in SIGNALS}
        for service, signal in services.items():
            took[signal].append(time_one(sender, service, signal))
    finally:
        for process in (daemon, broker):
            if process is not None:
                process.terminate()
                process.wait()
    for signal, times in took.items():
        times.sort()
        print(f"  {signal:16} {len(times)} times: p50 {times[len(times) // 2]:.0f} ms, "
              f"p99 {times[(99 * len(times) + 99) // 100 - 1]:.0f} ms, slowest {times[-1]:.0f} ms")


def main():
    picket, broker, work = sys.argv[1], sys.argv[2], os.path.abspath(sys.argv[3])
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 1000000
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 100
    os.makedirs(work, exist_ok=True)
    find_all(picket, work, count)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"  {used.ru_utime:.1f} s user and {used.ru_stime:.1f} s system CPU of picket for "
          f"{(len(SIGNALS) + 1) * count:,} events")
    print("from the producer's call to FAIL:")
    time_all(picket, broker, work, rounds)
    return 1 if signals.failures else 0


if __name__ == "__main__":
    sys.exit(main())
