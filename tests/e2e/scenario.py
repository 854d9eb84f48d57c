#!/usr/bin/env python3
"""What the tests on a real Kafka send, and what they ask of the broker beyond sending.

    scenario.py nezha ARCHIVE          container logs as Fluent Bit ships them, "POD<tab>RECORD"
    scenario.py nezha-truth ARCHIVE    how many records, how many of them name an exception
    scenario.py attacks                logins, a breach, a switched-off second factor, some minutes ago
    scenario.py load RATE STOP TRUTH   "KEY<tab>RECORD" until the file STOP exists; then what was sent
                                       goes to TRUTH: a line "USER COUNT" for each attacked user

    scenario.py create BROKER TOPIC PARTITIONS [NAME=VALUE]...
    scenario.py grow BROKER TOPIC PARTITIONS
    scenario.py delete BROKER TOPIC...
    scenario.py truncate BROKER TOPIC PARTITION OFFSET      the log then starts at OFFSET
    scenario.py aged BROKER TOPIC PARTITION                 lines "AGE_SECONDS RECORD" with that time
    scenario.py transactions BROKER TOPIC                   lines "commit|abort|open RECORD...": one
                                                            transaction a line; open: never ended

Only Python's standard library; Kafka through librdkafka, as in produce.py beside it.
"""
import csv
import ctypes
import io
import json
import os
import sys
import tarfile
import time

sys.dont_write_bytecode = True  # the tree stays as it was
from produce import Producer  # noqa: E402

QUERY_MS = 20000
END, TOPIC, PARTITION, VALUE, TIMESTAMP, FLAGS = 0, 1, 3, 4, 8, 7
COPY = 0x2
ATTACK_EVERY_S, ATTACK_TRIES = 3, 12


def moment(seconds):
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1e6):06d}Z"


# --- what is sent ------------------------------------------------------------------------------


def nezha_lines(archive):
    """Per container line: pod and the record a node agent would have made of it."""
    with tarfile.open(archive) as tar:
        names = sorted(n for n in tar.getnames() if n.endswith("_log.csv"))
        for name in names:
            text = io.TextIOWrapper(tar.extractfile(name), encoding="utf-8", newline="")
            for row in csv.DictReader(text):
                record = json.loads(row["Log"])
                record["kubernetes"] = {
                    "pod_name": row["PodName"],
                    "container_name": row["Container"],
                    "host": row["Node"],
                }
                record["trace_id"] = row["TraceID"]
                yield row["PodName"], record


def nezha(archive):
    for pod, record in nezha_lines(archive):
        sys.stdout.write(f"{pod}\t{json.dumps(record, separators=(',', ':'))}\n")


def nezha_truth(archive):
    count = exceptions = 0
    for _, record in nezha_lines(archive):
        count += 1
        exceptions += "exception" in record["log"].lower()
    print(count, exceptions)


def login(at, user, source, outcome="failure", tenant="acme"):
    return {
        "@timestamp": moment(at),
        "service.name": "login",
        "event.category": "authentication",
        "event.outcome": outcome,
        "user.id": user,
        "tenant.id": tenant,
        "source.ip": source,
    }


def attacks():
    """Seven minutes ago, so that every window can be closed by the time that has passed since."""
    start = time.time() - 420
    events = [login(start + i, "ann", "198.51.100.9") for i in range(12)]
    events += [login(start + i, f"guest{i}", "203.0.113.7", tenant=f"t{i % 3}") for i in range(25)]
    events += [login(start + i, "bob", "192.0.2.1") for i in range(9)]
    events += [login(start + i, "eve", "192.0.2.2", outcome="success") for i in range(30)]
    for target, status in (("globex", 200), ("globex", 403), ("acme", 200)):
        events.append(
            {
                "@timestamp": moment(start + 20),
                "service": {"name": "orders"},
                "user.id": "mallory",
                "tenant.id": "acme",
                "target.tenant.id": target,
                "http.response.status_code": status,
            }
        )
    for event in events:
        print(json.dumps(event))


def load(rate, stop, truth):
    attacked = {}
    started = time.time()
    count = 0
    while not os.path.exists(stop):
        due = int((time.time() - started) * float(rate))
        for number in range(count, due):
            now = time.time()
            event = login(now, f"user{number % 997}", f"10.0.{number % 251}.1", "success")
            number_of_attack = int((now - started) / ATTACK_EVERY_S)
            victim = f"victim{number_of_attack}"
            if attacked.get(victim, 0) < ATTACK_TRIES:
                attacked[victim] = attacked.get(victim, 0) + 1
                event = login(now, victim, f"198.51.{number_of_attack}.1")
            event["message"] = f"number {number}"
            sys.stdout.write(f"{number}\t{json.dumps(event)}\n")
        count = max(count, due)
        sys.stdout.flush()
        time.sleep(0.02)
    with open(truth + ".new", "w", encoding="utf-8") as file:
        for victim, tries in attacked.items():
            file.write(f"{victim} {tries}\n")
    os.rename(truth + ".new", truth)
    print(count, "sent", file=sys.stderr)


# --- what is asked of the broker ---------------------------------------------------------------


class Broker(Producer):
    def __init__(self, servers, **properties):
        super().__init__(servers)
        for name in (
            "queue_new queue_poll NewTopic_new NewPartitions_new DeleteTopic_new DeleteRecords_new "
            "topic_partition_list_new topic_partition_list_add event_error_string new conf_new "
            "init_transactions begin_transaction commit_transaction abort_transaction "
            "CreateTopics_result_topics CreatePartitions_result_topics DeleteTopics_result_topics "
            "topic_result_error_string topic_result_name error_string"
        ).split():
            getattr(self.library, "rd_kafka_" + name).restype = ctypes.c_void_p
        for name in ("event_error_string", "topic_result_error_string", "error_string"):
            getattr(self.library, "rd_kafka_" + name).restype = ctypes.c_char_p
        if properties:
            self.client = self._client({"bootstrap.servers": servers, **properties})

    def _client(self, properties):
        why = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(self.library.rd_kafka_conf_new())
        for key, value in properties.items():
            if self.library.rd_kafka_conf_set(conf, key.encode(), value.encode(), why, 512) != 0:
                raise SystemExit(f"scenario.py: {why.value.decode()}")
        return ctypes.c_void_p(self.library.rd_kafka_new(0, conf, why, 512))

    def ask(self, operation, item):
        """One admin operation on one item; ends the program when the broker refuses."""
        queue = ctypes.c_void_p(self.library.rd_kafka_queue_new(self.client))
        items = (ctypes.c_void_p * 1)(item)
        getattr(self.library, "rd_kafka_" + operation)(
            self.client, items, ctypes.c_size_t(1), None, queue
        )
        event = ctypes.c_void_p(self.library.rd_kafka_queue_poll(queue, QUERY_MS))
        if not event:
            raise SystemExit(f"scenario.py: {operation}: no answer")
        problem = self._problem(operation, event)
        if problem:
            raise SystemExit(f"scenario.py: {operation}: {problem}")

    def _problem(self, operation, event):
        if self.library.rd_kafka_event_error(event) != 0:
            return self.library.rd_kafka_event_error_string(event).decode()
        if operation == "DeleteRecords":
            return None
        count = ctypes.c_size_t()
        results = ctypes.cast(
            getattr(self.library, f"rd_kafka_{operation}_result_topics")(
                event, ctypes.byref(count)
            ),
            ctypes.POINTER(ctypes.c_void_p),
        )
        one = ctypes.c_void_p(results[0])
        if self.library.rd_kafka_topic_result_error(one) == 0:
            return None
        text = self.library.rd_kafka_topic_result_error_string(one)
        return text.decode() if text else "refused"

    def create(self, topic, partitions, configs):
        new = ctypes.c_void_p(
            self.library.rd_kafka_NewTopic_new(topic.encode(), int(partitions), 1, None, 0)
        )
        for config in configs:
            name, value = config.split("=", 1)
            self.library.rd_kafka_NewTopic_set_config(new, name.encode(), value.encode())
        self.ask("CreateTopics", new)

    def grow(self, topic, partitions):
        self.ask(
            "CreatePartitions",
            self.library.rd_kafka_NewPartitions_new(
                topic.encode(), ctypes.c_size_t(int(partitions)), None, ctypes.c_size_t(0)
            ),
        )

    def delete(self, topic):
        self.ask("DeleteTopics", self.library.rd_kafka_DeleteTopic_new(topic.encode()))

    def truncate(self, topic, partition, offset):
        places = ctypes.c_void_p(self.library.rd_kafka_topic_partition_list_new(1))
        self.library.rd_kafka_topic_partition_list_add(places, topic.encode(), int(partition))
        self.library.rd_kafka_topic_partition_list_set_offset(
            places, topic.encode(), int(partition), ctypes.c_int64(int(offset))
        )
        self.ask("DeleteRecords", self.library.rd_kafka_DeleteRecords_new(places))

    def put(self, topic, partition, value, time_ms):
        data = value.encode()
        code = self.library.rd_kafka_producev(
            self.client,
            TOPIC, topic.encode(),
            PARTITION, ctypes.c_int32(int(partition)),
            VALUE, data, ctypes.c_size_t(len(data)),
            FLAGS, COPY,
            TIMESTAMP, ctypes.c_int64(time_ms),
            END,
        )
        if code != 0:
            raise SystemExit(f"scenario.py: a record is refused: {code}")

    def step(self, what):
        error = getattr(self.library, f"rd_kafka_{what}")(
            *((self.client,) if what == "begin_transaction" else (self.client, QUERY_MS))
        )
        if error:
            text = self.library.rd_kafka_error_string(ctypes.c_void_p(error)).decode()
            raise SystemExit(f"scenario.py: {what}: {text}")


def aged(servers, topic, partition):
    broker = Broker(servers)
    now_ms = int(time.time() * 1000)
    for line in sys.stdin:
        age, value = line.rstrip("\n").split(" ", 1)
        broker.put(topic, partition, value, now_ms - int(age) * 1000)
    sys.exit(1 if broker.finish() else 0)


def transactions(servers, topic):
    broker = Broker(servers, **{"transactional.id": f"e2e-{os.getpid()}", "linger.ms": "0"})
    broker.step("init_transactions")
    for line in sys.stdin:
        how, *records = line.rstrip("\n").split("\t")
        broker.step("begin_transaction")
        for record in records:
            broker.put(topic, 0, record, int(time.time() * 1000))
        broker.finish()  # what is aborted must be in the log, or nothing is shown
        if how != "open":
            broker.step(how + "_transaction")


def main(words):
    here = {"nezha": nezha, "nezha-truth": nezha_truth, "attacks": attacks, "load": load,
            "aged": aged, "transactions": transactions}
    if not words:
        raise SystemExit(__doc__)
    command, *rest = words
    if command in here:
        here[command](*rest)
    elif command == "create":
        Broker(rest[0]).create(rest[1], rest[2], rest[3:])
    elif command == "grow":
        Broker(rest[0]).grow(rest[1], rest[2])
    elif command == "delete":
        broker = Broker(rest[0])
        for topic in rest[1:]:
            broker.delete(topic)
    elif command == "truncate":
        Broker(rest[0]).truncate(*rest[1:])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
