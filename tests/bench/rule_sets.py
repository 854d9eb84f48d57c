#!/usr/bin/env python3
"""rule_sets.py: rule sets for comparing engines.

    rule_sets.py sample FROM TO COUNT   COUNT detections of the folder FROM into the folder TO, evenly
                                        over all of them; when there are not so many, renamed copies
                                        follow (title and id; what they compare with is kept)
    rule_sets.py filters TO COUNT       TO/sigma/*.yml, TO/syslog-ng.conf.part and TO/rsyslog.conf.part:
                                        COUNT times "the command line holds this text"

Left out of a sample: placeholders, correlations, filters, files of several documents, and the files
named on standard input.
"""
import pathlib
import random
import re
import sys
import uuid

REAL = ["-urlcache -split", "MiniDump", "SQBFAFgAIAAoAE4AZQB3AC0A", 'group "Domain Admins"',
        "process call create", "/create /tn upd"]


def detections(folder, left_out):
    texts = []
    for path in sorted(pathlib.Path(folder).rglob("*.yml")):
        parts = path.relative_to(folder).parts
        if parts[0] in ("unsupported", "rules-placeholder") or str(path) in left_out:
            continue
        text = path.read_text()
        if re.search(r"^(---|correlation:|filter:|action:)", text, re.M) or "|expand" in text:
            continue
        if re.search(r"^detection:", text, re.M):
            texts.append(text)
    return texts


def sample(source, target, count):
    texts = detections(source, set(sys.stdin.read().split("\n")))
    target.mkdir(parents=True)
    for i in range(count):
        text = texts[i * len(texts) // count if count <= len(texts) else i % len(texts)]
        copy = i // len(texts) if count > len(texts) else 0
        if copy > 0:
            text = re.sub(r"^title: *(.*)$", lambda m: f"title: 'copy {copy} of rule {i}'", text,
                          count=1, flags=re.M)
            text = re.sub(r"^id:.*$", f"id: {uuid.uuid5(uuid.NAMESPACE_OID, str(i))}", text,
                          count=1, flags=re.M)
            text = re.sub(r"^name:.*$", "", text, count=1, flags=re.M)
        (target / f"{i:05d}.yml").write_text(text)


def filters(target, count):
    random.seed(7)
    (target / "sigma").mkdir(parents=True)
    syslog_ng, log_paths, rsyslog = [], [], []
    for i in range(count):
        literal = REAL[i] if i < len(REAL) else f"evil{random.getrandbits(32):08x}/{i}"
        quoted = literal.replace('"', '\\"')
        (target / "sigma" / f"{i:05d}.yml").write_text(
            f"title: filter {i}\nid: {uuid.uuid5(uuid.NAMESPACE_OID, literal)}\nstatus: test\n"
            "logsource: {product: windows}\n"
            f"detection:\n    s:\n        CommandLine|contains|cased: '{literal}'\n"
            "    condition: s\nlevel: low\n")
        syslog_ng.append(f'filter f{i} {{ match("{quoted}" value(".json.CommandLine") '
                         'type(string) flags(substring)); };')
        log_paths.append(f"log {{ filter(f{i}); destination(out); }};")
        rsyslog.append(f'if $!CommandLine contains "{quoted}" then '
                       '{ action(type="omfile" file="FILES/out" template="m") }')
    (target / "syslog-ng.conf.part").write_text(
        "\n".join(syslog_ng) + "\nlog { source(in); parser(json); log { filter(end); "
        "destination(end); };\n" + "\n".join(log_paths) + "\n};\n")
    (target / "rsyslog.conf.part").write_text("\n".join(rsyslog) + "\n")


if sys.argv[1] == "sample":
    sample(sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4]))
else:
    filters(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
