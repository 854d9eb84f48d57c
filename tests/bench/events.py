#!/usr/bin/env python3
"""events.py COUNT [SEED [VERSIONS]]: ECS JSON events of about 700 bytes on standard output, for measuring.

Names, shares and value ranges are those of a mid-sized company: 40 services, 20,000 users of 400
tenants, six per cent of the requests fail. Each service has VERSIONS versions live at once: 40, which
is the worst that the gate meets, or 2, a baseline and a canary. The same arguments give the same bytes.
"""
import datetime
import json
import random
import sys

count = int(sys.argv[1])
random.seed(int(sys.argv[2]) if len(sys.argv) > 2 else 7)
versions = int(sys.argv[3]) if len(sys.argv) > 3 else 40
names = ["payments", "sessions", "catalog", "orders", "users", "search", "billing", "gateway",
         "notify", "tokens"]
services = [f"svc-{i:02d}-{name}" for i, name in enumerate(names * 4)]
actions = ["login", "token.issue", "token.refresh", "read", "write", "delete", "list",
           "policy.check", "mfa.challenge", "health"]
weights = [8, 6, 8, 30, 15, 2, 20, 8, 2, 1]
authentication = {"login", "mfa.challenge", "token.issue", "token.refresh"}
routes = ["/v1/sessions", "/v1/tokens", "/v1/orders/{id}", "/v1/users/{id}",
          "/v1/tenants/{id}/invoices", "/healthz", "/v1/search"]
agents = ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
          "Chrome/126.0 Safari/537.36", "okhttp/4.12.0", "Go-http-client/2.0",
          "python-requests/2.32.3"]
start = datetime.datetime(2026, 8, 21, 11, 0, 0)


def version(minor, patch):
    number = (minor * 10 + patch - 10) % versions
    return f"1.{number // 10 + 1}.{number % 10}"


for i in range(count):
    time = start + datetime.timedelta(milliseconds=i // 3)
    action = random.choices(actions, weights=weights)[0]
    succeeded = random.random() > 0.06
    route = random.choice(routes)
    path = route.replace("{id}", str(random.randint(1, 50000)))
    user = int(random.paretovariate(0.8)) % 20000
    tenant = f"t-{user % 400:04d}"
    event = {
        "@timestamp": time.isoformat(timespec="milliseconds") + "Z",
        "ecs.version": "8.11.0",
        "log.level": "info" if succeeded else "warn",
        "service": {"name": random.choice(services),
                    "version": version(random.randint(1, 4), random.randint(0, 9)),
                    "node": {"name": f"pod-{random.randint(0, 5)}"}},
        "event": {"action": action,
                  "category": "authentication" if action in authentication else "web",
                  "outcome": "success" if succeeded else "failure",
                  "duration": int(random.expovariate(1 / 9000.0)) * 1000},
        "user": {"id": f"u-{user:05d}"},
        "tenant": {"id": tenant},
        "target": {"tenant": {"id": tenant}},
        "source": {"ip": f"{random.choice([10, 52, 81, 203])}.{random.randint(0, 255)}."
                         f"{random.randint(0, 255)}.{random.randint(1, 254)}",
                   "port": random.randint(1025, 65000)},
        "http": {"request": {"method": random.choice(["GET", "POST", "PUT"])},
                 "response": {"status_code": 200 if succeeded
                              else random.choice([401, 403, 404, 500])},
                 "route": route},
        "url": {"path": path},
        "user_agent": {"original": random.choice(agents)},
        "trace": {"id": f"{random.getrandbits(128):032x}"},
        "span": {"id": f"{random.getrandbits(64):016x}"},
        "message": f"{action} {'ok' if succeeded else 'failed'} {path} "
                   f"in {random.randint(100, 90000)} us",
    }
    sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
