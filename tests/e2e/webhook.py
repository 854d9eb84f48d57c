#!/usr/bin/env python3
"""A receiver of alerts that misbehaves on demand.

    webhook.py PORT_FILE SECRET MODE_FILE LOG

Each alert it takes becomes a line "ID REVISION STATE COUNT" of LOG; a message whose signature,
idempotency key or age is wrong becomes "BAD REASON". MODE_FILE says how to answer: "ok" (or no
file), an HTTP status, or "hang" (no answer within the sender's patience).
"""
import hashlib
import hmac
import http.server
import json
import sys
import time

PORT_FILE, SECRET, MODE_FILE, LOG = sys.argv[1:5]
OLD_S = 300


def mode():
    try:
        with open(MODE_FILE, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return "ok"


def problem(headers, body, alert):
    parts = dict(p.split("=", 1) for p in headers.get("X-Picket-Signature", "").split(",") if p)
    signed = f"{parts.get('t')}.".encode() + body
    wanted = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(parts.get("v1", ""), wanted):
        return "signature"
    if abs(time.time() - int(parts["t"])) > OLD_S:
        return "old"
    if headers.get("Idempotency-Key") not in ("test", f"{alert['alert_id']}.{alert['revision']}"):
        return "key"
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        how = mode()
        if how == "hang":
            time.sleep(60)
            return
        if how != "ok":
            self.send_response(int(how))
            self.end_headers()
            self.wfile.write(b"not today")
            return
        alert = json.loads(body)
        wrong = problem(self.headers, body, alert)
        with open(LOG, "a", encoding="utf-8") as log:
            if wrong:
                print("BAD", wrong, file=log)
            elif self.headers["Idempotency-Key"] != "test":
                print(alert["alert_id"], alert["revision"], alert["state"], alert["count"], file=log)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(PORT_FILE, "w", encoding="ascii") as file:
    file.write(f"{server.server_address[1]}\n")
server.serve_forever()
