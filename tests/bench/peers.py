#!/usr/bin/env python3
"""The same events in other stores: peers.py COUNT FOLDER EVENTS.ndjson [chdb|victorialogs]...

Beside `bench_store COUNT FOLDER rows merge ask`, on the same events (bench_store COUNT - json). Each
peer stores them, comes to rest (all merging done), says how many bytes it has on the disk, and is
asked the same questions, cold first (its files are dropped from the page cache and it is started
again), then twice more. CPU is user and system time of the peer's whole process. A peer that is not
there is named as missing: chdb is `pip install chdb`, VictoriaLogs the program that
PICKET_VICTORIA_LOGS names (the Go module github.com/VictoriaMetrics/VictoriaMetrics up to v1.121.0
holds it: go build ./app/victoria-logs)."""

import json
import os
import resource
import subprocess
import sys
import time
import urllib.parse
import urllib.request

NOWHERE = "00112233445566778899aabbccddeeff"
PORT = 19428


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(path, name))
               for path, _, names in os.walk(folder) for name in names)


def forget(folder):
    """Has the kernel drop what it holds of the folder's files."""
    for path, _, names in os.walk(folder):
        for name in names:
            file = os.open(os.path.join(path, name), os.O_RDONLY)
            os.fdatasync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def say(peer, what, text):
    print(f"{peer:<13} {what:<34} {text}", flush=True)


def trace_in_the_middle(events, count):
    """The trace id of the event that bench_store asks for too."""
    with open(events, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number == count // 2 // 3 * 3:
                return json.loads(line)["trace.id"]
    raise SystemExit(f"{events} has fewer than {count // 2} events")


def measure_questions(peer, questions, start, stop, ask, cpu, folder):
    for what, question in questions.items():
        forget(folder)
        start()
        for turn in ("cold", "again", "again"):
            begin, used = time.monotonic(), cpu()
            rows = ask(question)
            say(peer, f"{what}, {turn}", f"{(time.monotonic() - begin) * 1e3:9.1f} ms "
                f"{(cpu() - used) * 1e3:9.1f} ms CPU  {rows} rows")
        stop()


class ClickHouse:
    """In this process, as chdb. Compressed with ZSTD, which is what people who count bytes take."""

    SCHEMA = """CREATE TABLE db.events (
        `@timestamp` DateTime64(3) CODEC(Delta, ZSTD(1)), `ecs.version` LowCardinality(String),
        `log.level` LowCardinality(String), `service.name` LowCardinality(String),
        `service.version` LowCardinality(String), `service.node.name` LowCardinality(String),
        `event.action` LowCardinality(String), `event.category` LowCardinality(String),
        `event.outcome` LowCardinality(String), `event.duration` Int64 CODEC(ZSTD(1)),
        `user.id` String CODEC(ZSTD(1)), `tenant.id` LowCardinality(String),
        `target.tenant.id` LowCardinality(String), `source.ip` IPv4 CODEC(ZSTD(1)),
        `source.port` UInt16 CODEC(ZSTD(1)), `http.request.method` LowCardinality(String),
        `http.response.status_code` UInt16 CODEC(ZSTD(1)), `url.path` String CODEC(ZSTD(1)),
        `user_agent.original` LowCardinality(String), `trace.id` String CODEC(ZSTD(1)),
        `span.id` String CODEC(ZSTD(1)), `message` String CODEC(ZSTD(1)),
        INDEX traces `trace.id` TYPE bloom_filter(0.01) GRANULARITY 1,
        INDEX users `user.id` TYPE bloom_filter(0.01) GRANULARITY 1
        ) ENGINE = MergeTree PARTITION BY toDate(`@timestamp`) ORDER BY (`tenant.id`, `@timestamp`)"""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "chdb")
        self.session = None

    def start(self):
        from chdb import session
        self.session = session.Session(self.folder)
        self.session.query("SET max_threads = 2")

    def stop(self):
        self.session.close()
        self.session = None

    @staticmethod
    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def ask(self, question):
        return str(self.session.query(question, "CSV")).count("\n")

    def store(self, events):
        self.start()
        self.session.query("CREATE DATABASE IF NOT EXISTS db")
        self.session.query(self.SCHEMA)
        self.session.query(f"INSERT INTO db.events SELECT * FROM file('{events}', JSONEachRow)")
        self.session.query("OPTIMIZE TABLE db.events FINAL")
        return str(self.session.query("SELECT count() FROM db.events", "CSV")).strip() + " rows"

    def stored_bytes(self):
        return int(str(self.session.query(
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'db'", "CSV")))

    @staticmethod
    def questions(trace):
        rows = "SELECT * FROM db.events WHERE {} ORDER BY `@timestamp` DESC LIMIT 100"
        return {
            "trace id": rows.format(f"`trace.id` = '{trace}'"),
            "trace id that is nowhere": rows.format(f"`trace.id` = '{NOWHERE}'"),
            "the same, one tenant": rows.format(
                f"`tenant.id` = 't-0001' AND `trace.id` = '{NOWHERE}'"),
            "one user of one tenant": rows.format(
                "`tenant.id` = 't-0001' AND `user.id` = 'u-00401'"),
            "count by action over 1h": "SELECT toStartOfHour(`@timestamp`) AS hour, `event.action`, "
                                       "count() FROM db.events GROUP BY ALL",
            "full text with wildcards": rows.format("message ILIKE '%failed%/v1/orders/1234%'"),
        }


class VictoriaLogs:
    """Its own process; a tenant is a stream, so that its blocks are of one tenant as ours are."""

    def __init__(self, folder, program):
        self.folder = os.path.join(folder, "victorialogs")
        self.program = program
        self.process = None
        self.url = f"http://127.0.0.1:{PORT}"

    def start(self):
        self.process = subprocess.Popen(
            [self.program, f"-storageDataPath={self.folder}", "-retentionPeriod=100y",
             f"-httpListenAddr=127.0.0.1:{PORT}", "-loggerLevel=ERROR"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("VictoriaLogs does not come up")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def cpu(self):
        tasks, used = f"/proc/{self.process.pid}/task", 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as stat:
                used += int(stat.read().split()[0])
        return used / 1e9

    def ask(self, question):
        body = urllib.parse.urlencode({"query": question, "start": "2026-08-21T00:00:00Z",
                                       "end": "2026-08-22T00:00:00Z"}).encode()
        with urllib.request.urlopen(self.url + "/select/logsql/query", body) as answer:
            return answer.read().count(b"\n")

    def store(self, events):
        self.start()
        subprocess.run(
            ["curl", "-sSf", "-T", events, "-X", "POST",
             self.url + "/insert/jsonline?_time_field=@timestamp&_msg_field=message"
             "&_stream_fields=tenant.id"], check=True)
        urllib.request.urlopen(self.url + "/internal/force_flush").read()
        urllib.request.urlopen(self.url + "/internal/force_merge").read()
        quiet, before = 0, -1.0
        while quiet < 5:  # until nothing is merged any more
            time.sleep(1)
            now = self.cpu()
            quiet = quiet + 1 if now - before < 0.05 else 0
            before = now
        return "stream: tenant.id"

    def stored_bytes(self):
        return folder_bytes(self.folder)

    @staticmethod
    def questions(trace):
        last = "| sort by (_time) desc limit 100"
        return {
            "trace id": f'"trace.id":="{trace}" {last}',
            "trace id that is nowhere": f'"trace.id":="{NOWHERE}" {last}',
            "the same, one tenant": f'{{"tenant.id"="t-0001"}} "trace.id":="{NOWHERE}" {last}',
            "one user of one tenant": f'{{"tenant.id"="t-0001"}} "user.id":="u-00401" {last}',
            "count by action over 1h": '* | stats by (_time:1h, "event.action") count() n',
            "full text with wildcards": f'failed "/v1/orders/" '
                                        f'~"(?i)failed.*/v1/orders/1234" {last}',
        }


def measure(peer, name, count, events):
    begin = time.monotonic()
    before = peer.cpu() if name == "chdb" else 0
    said = peer.store(events)
    used = peer.cpu() - before
    say(name, "storing", f"{used * 1e6 / count:9.2f} us CPU an event, decoding and merging included"
        f"; {time.monotonic() - begin:.0f} s; {said}")
    say(name, "on disk", f"{peer.stored_bytes() / count:9.1f} bytes an event")
    peer.stop()
    measure_questions(name, peer.questions(trace_in_the_middle(events, count)), peer.start,
                      peer.stop, peer.ask, peer.cpu, peer.folder)


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    count, folder, events = int(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
    wanted = sys.argv[4:] or ["chdb", "victorialogs"]
    os.makedirs(folder, exist_ok=True)
    if "chdb" in wanted:
        try:
            import chdb
        except ImportError:
            say("chdb", "MISSING", "not measured: pip install chdb")
        else:
            say("chdb", "version", chdb.__version__)
            measure(ClickHouse(folder), "chdb", count, events)
    if "victorialogs" in wanted:
        program = os.environ.get("PICKET_VICTORIA_LOGS", "")
        if not os.access(program, os.X_OK):
            say("victorialogs", "MISSING", "not measured: PICKET_VICTORIA_LOGS names no program")
        else:
            measure(VictoriaLogs(folder, program), "victorialogs", count, events)


if __name__ == "__main__":
    main()
