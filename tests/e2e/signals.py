"""Signals of security, through `picket run` and `picket gate`: one event of each hard one is enough.

    signals.py PICKET WORK_DIR

Plays for each signal a service of its own into a file: two days of a baseline, ten minutes of both,
and one event of the canary. Asks the gate of a real picket, with and without a change manifest.
Exit 0: every verdict is as promised.
"""
import json
import os
import random
import re
import subprocess
import sys
import time

failures = 0
NEEDLES = {
    "clean": {},
    "authz": {"http.route": "/refunds", "http.request.method": "POST", "http.response.status_code": 200,
              "user.id": "u1", "user.roles": ["viewer"]},
    "tenant": {"http.route": "/orders", "http.request.method": "GET", "http.response.status_code": 200,
               "user.id": "u1", "user.roles": ["viewer"], "tenant.id": "a", "target.tenant.id": "b"},
    "stranger": {"http.route": "/orders", "http.request.method": "GET", "http.response.status_code": 200},
    "plain": {"service.target.name": "payments", "tls.established": False},
    "call": {"network.direction": "outbound", "destination.domain": "evil.example", "destination.port": 443},
    "denied": {"http.route": "/refunds", "http.request.method": "POST", "http.response.status_code": 403,
               "user.id": "u1", "user.roles": ["viewer"]},
}
# A refund that is refused, as an outcome of the gate.
RULES = """
title: Refund
id: 0b6f3c1e-0d52-4f0b-8d7e-3a1c5e7f9b21
name: refund
logsource: {product: microservice}
detection: {a: {http.route: /refunds}, condition: a}
---
title: Refund refused
id: 0b6f3c1e-0d52-4f0b-8d7e-3a1c5e7f9b22
name: refused
logsource: {product: microservice}
detection: {a: {http.response.status_code: 403}, condition: a}
---
title: A version refuses refunds more often
id: 0b6f3c1e-0d52-4f0b-8d7e-3a1c5e7f9b23
name: refund_refused
correlation: {type: cohort_compare, rules: [refund], compare: {numerator: refused}}
level: low
"""


def check(what, wanted, got):
    global failures
    failures += wanted != got
    print(f"  {'ok   ' if wanted == got else 'WRONG'} {what}: {got}" +
          ("" if wanted == got else f", wanted {wanted}"))


def usual(tick):
    """What every version does."""
    viewer = {"user.id": f"u{tick % 97}", "user.roles": ["viewer"], "tenant.id": "a"}
    kinds = (
        {"http.route": "/orders", "http.request.method": "GET", "http.response.status_code": 200,
         "target.tenant.id": "a", **viewer},
        {"http.route": "/refunds", "http.request.method": "POST", "http.response.status_code": 403, **viewer},
        {"http.route": "/orders", "http.request.method": "GET", "http.response.status_code": 401,
         "source.ip": f"192.0.2.{tick % 200}"},
        {"service.target.name": "payments", "tls.established": True},
        {"network.direction": "outbound", "destination.domain": "api.partner.example",
         "destination.port": 443},
    )
    return kinds[tick // 4 % 5]


def write(file, at, service, version, fields):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
    file.write(json.dumps({"@timestamp": stamp, "ecs.version": "9.0.0", "service.name": service,
                           "service.version": version, "service.node.name": f"{service}-{version}",
                           **fields}) + "\n")


def play(path):
    end = time.time() // 60 * 60  # always the same buckets: how they are cut changes the evidence
    with open(path, "w", encoding="utf-8") as file:
        for tick in range(1200):
            for service in NEEDLES:
                write(file, end - 172800 + tick * 100, service, "v1", usual(tick))
        dice = random.Random(20261122)
        for tick in range(6000):
            at = end - 600 + tick / 10
            version = "v2" if dice.random() < 0.25 else "v1"
            for service, needle in NEEDLES.items():
                write(file, at, service, version, usual(tick))
                if tick == 3000 and needle:
                    write(file, at, service, "v2", needle)


def write_settings(work, intake):
    """A configuration that reads `intake`, a line of YAML."""
    with open(os.path.join(work, "rule.yml"), "w", encoding="utf-8") as file:
        file.write(RULES)
    with open(os.path.join(work, "patient.yml"), "w", encoding="utf-8") as file:
        # A file ends when it was written, and is read after that; and it holds few requests.
        file.write("name: patient\nmax_lag: 30m\noutcomes:\n    http_5xx: {p_abs: 0.05}\n"
                   "    authn_failure: {required: false}\n    authz_denied: {required: false}\n")
    with open(os.path.join(work, "signals.yaml"), "w", encoding="utf-8") as file:
        file.write(f"data_dir: {work}/signals.data\n{intake}\n"
                   f"rules: {{paths: [{work}/rule.yml]}}\napi: {{listen: 'off'}}\n"
                   f"gate: {{policies: [{work}/patient.yml]}}\n")


def run(picket, work):
    with open(os.path.join(work, "signals.log"), "w", encoding="utf-8") as log:
        return subprocess.Popen([picket, "run", "-c", os.path.join(work, "signals.yaml")], stderr=log)


def start(picket, work):
    write_settings(work, f"files: [{work}/signals.ndjson]")
    return run(picket, work)


def gate(picket, work, service, *more):
    done = subprocess.run([picket, "gate", "--server", f"unix:{work}/signals.data/picket.sock",
                           "--service", service, "--canary", "v2", "--policy", "patient", "-o", "json", *more],
                          capture_output=True, text=True, check=False)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, {"verdict": "none", "reasons": [], "text": done.stderr}


def explained(picket, work, service):
    """Of the rule refund_refused: the canary's trials and matches, the baseline's matches and trials."""
    done = subprocess.run([picket, "gate", "--server", f"unix:{work}/signals.data/picket.sock", "--explain",
                           "--service", service, "--canary", "v2", "--policy", "patient", "--dry-run"],
                          capture_output=True, text=True, check=False)
    line = re.search(r"refund_refused is the rule \S+, which only warns: it matched (\d+) of the canary's (\d+) "
                     r"trials, and (\d+) of the baseline's (\d+)$", done.stdout, re.MULTILINE)
    if line is None:
        sys.exit(f"no line about refund_refused: {done.stdout}")
    matched, trials, base_matched, base_trials = (int(number) for number in line.groups())
    return trials, matched, base_matched, base_trials


def found(answer):
    return sorted(f"{one['signal']} {one['class']} {one['standing']}" for one in answer.get("findings", ())
                  if one["standing"] != "shared")


def main():
    picket, work = sys.argv[1], sys.argv[2]
    os.makedirs(work, exist_ok=True)
    play(os.path.join(work, "signals.ndjson"))
    daemon = start(picket, work)
    try:
        for _ in range(100):
            code, answer = gate(picket, work, "clean", "--dry-run")
            if answer["verdict"] == "PASS":
                break
            time.sleep(0.3)
        check("nothing new passes", ("PASS", []), (answer["verdict"], found(answer)))
        code, answer = gate(picket, work, "denied")
        check("an attempt that is denied passes", ("PASS", 0, []), (answer["verdict"], code, found(answer)))
        words = explained(picket, work, "authz")
        check("a rule is told by version, every match of it", (1, 0, True), (
            words[0] - words[1], words[3] - words[2], 0 < words[0] < words[3]))
        manifest = os.path.join(work, "release.yaml")
        with open(manifest, "w", encoding="utf-8") as file:
            file.write("service: call\nexpect:\n- destination: evil.example:443\n- edge: vault\n")
        code, answer = gate(picket, work, "call", "--expect", manifest, "--dry-run")
        check("a declared destination passes", ("PASS", ["destination INFO declared"], [True, False]),
              (answer["verdict"], found(answer), [one["used"] for one in answer["expected"]]))
        with open(manifest, "w", encoding="utf-8") as file:
            file.write("expect:\n- tenant_breach: all\n")
        code, answer = gate(picket, work, "call", "--expect", manifest)
        check("a bad manifest has a place", (64, True), (code, "release.yaml:2:3:" in answer.get("text", "")))
        for service, signal in (("authz", "authz_allow"), ("tenant", "tenant_breach"),
                                ("stranger", "unauthenticated"), ("plain", "plaintext"),
                                ("call", "destination")):
            code, answer = gate(picket, work, service)
            check(f"one event of {signal}", ("FAIL", 1, True),
                  (answer["verdict"], code, f"{signal} HARD proven" in found(answer)))
    finally:
        daemon.terminate()
        daemon.wait()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
