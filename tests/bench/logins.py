#!/usr/bin/env python3
"""logins.py COUNT: flat JSON logins, one a millisecond, for measuring correlations beside other engines.

2,000 users, a few of whom do most of it; half of the logins fail; addresses hardly ever come twice.
The same COUNT gives the same bytes.
"""
import datetime
import json
import random
import sys

random.seed(7)
start = datetime.datetime(2026, 8, 21, 11)
for i in range(int(sys.argv[1])):
    time = start + datetime.timedelta(milliseconds=i)
    print(json.dumps({
        "@timestamp": time.isoformat(timespec="milliseconds") + "Z",
        "action": "login",
        "outcome": "failure" if random.random() < 0.5 else "success",
        "user": f"u{int(random.paretovariate(0.8)) % 2000}",
        "ip": f"10.0.{random.randint(0, 255)}.{random.randint(0, 255)}",
    }, separators=(",", ":")))
