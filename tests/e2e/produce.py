#!/usr/bin/env python3
"""Sends records to a Kafka broker, byte for byte, with librdkafka through ctypes.

    produce.py BROKER [--rate PER_SECOND] [--codec NAME] < LINES

Why not kcat: records here may be empty, absent, binary or 10 MB large, and each goes to the
partition its line names. Only Python's standard library is needed. A line is a JSON object:

    {"topic": T, "partition": P, "value": TEXT}     the text as it is
    {..., "base64": TEXT}                           bytes
    {..., "file": PATH}                             the bytes of a file
    {..., "value": null}                            a tombstone
    {..., "key": TEXT}                              a key

Ends with 1 when a record was not acknowledged. Delivery is at least once in principle; the tests
run on the loopback device, and what was doubled on the way would be counted as such by them.
"""
import base64
import ctypes
import ctypes.util
import json
import sys
import time

BLOCK_WHEN_FULL = 0x4
COPY_VALUE = 0x2
CONF_OK = 0
PRODUCER = 0
MESSAGE_MAX_BYTES = 64 << 20


class Message(ctypes.Structure):
    """The beginning of rd_kafka_message_t, as far as it is read here."""

    _fields_ = [("err", ctypes.c_int)]


DELIVERY = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.POINTER(Message), ctypes.c_void_p
)


class Producer:
    def __init__(self, broker, codec="none"):
        name = ctypes.util.find_library("rdkafka") or "librdkafka.so.1"
        self.library = ctypes.CDLL(name)
        for function in ("conf_new", "new", "topic_new"):
            getattr(self.library, "rd_kafka_" + function).restype = ctypes.c_void_p
        self.failed = 0
        self.delivery = DELIVERY(self._delivered)
        conf = ctypes.c_void_p(self.library.rd_kafka_conf_new())
        why = ctypes.create_string_buffer(512)
        for key, value in {
            "bootstrap.servers": broker,
            "linger.ms": "5",
            "compression.codec": codec,
            "message.max.bytes": str(MESSAGE_MAX_BYTES),
            "message.timeout.ms": "20000",
            "log_level": "0",
        }.items():
            if self.library.rd_kafka_conf_set(
                conf, key.encode(), value.encode(), why, len(why)
            ) != CONF_OK:
                raise SystemExit(f"produce.py: {why.value.decode()}")
        self.library.rd_kafka_conf_set_dr_msg_cb(conf, self.delivery)
        self.client = ctypes.c_void_p(
            self.library.rd_kafka_new(PRODUCER, conf, why, len(why))
        )
        if not self.client:
            raise SystemExit(f"produce.py: {why.value.decode()}")
        self.topics = {}

    def _delivered(self, _client, message, _opaque):
        if message.contents.err != 0:
            self.failed += 1

    def _topic(self, name):
        if name not in self.topics:
            self.topics[name] = ctypes.c_void_p(
                self.library.rd_kafka_topic_new(self.client, name.encode(), None)
            )
        return self.topics[name]

    def send(self, topic, partition, value, key):
        failed = self.library.rd_kafka_produce(
            self._topic(topic),
            ctypes.c_int32(partition),
            BLOCK_WHEN_FULL | COPY_VALUE,
            value,
            ctypes.c_size_t(0 if value is None else len(value)),
            key,
            ctypes.c_size_t(0 if key is None else len(key)),
            None,
        )
        if failed:
            self.failed += 1
        self.library.rd_kafka_poll(self.client, 0)

    def finish(self):
        while self.library.rd_kafka_flush(self.client, 100) != 0:
            pass
        return self.failed


def value_of(record):
    if "file" in record:
        with open(record["file"], "rb") as file:
            return file.read()
    if "base64" in record:
        return base64.b64decode(record["base64"])
    return None if record["value"] is None else record["value"].encode()


def main(arguments):
    options = dict(zip(arguments[1::2], arguments[2::2]))
    if len(arguments) % 2 == 0 or not options.keys() <= {"--rate", "--codec"}:
        raise SystemExit(__doc__)
    rate = float(options.get("--rate", 0))
    producer = Producer(arguments[0], options.get("--codec", "none"))
    started = time.monotonic()
    count = 0
    for count, line in enumerate(sys.stdin, 1):
        record = json.loads(line)
        key = record.get("key")
        producer.send(
            record["topic"],
            record["partition"],
            value_of(record),
            None if key is None else key.encode(),
        )
        if rate and count % 10 == 0:
            time.sleep(max(0, started + count / rate - time.monotonic()))
    failed = producer.finish()
    print(f"{count - failed} sent, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
