"""Clients that behave as Argo Rollouts, Flagger and Spinnaker do, against a real picket.

    controllers.py PICKET WORK_DIR

Plays ten minutes of three canaries into a file, starts picket over it, and asks as the controllers
ask: which HTTP statuses are errors, how JSON is read, what is retried, when a run ends and how.
What each of them does is written beside it, after their documents and source; none of them runs
here. Exit 0: every contract holds.
"""
import http.client
import json
import os
import subprocess
import sys
import time

failures = 0


def check(what, wanted, got):
    global failures
    if wanted == got:
        print(f"  ok    {what}: {got}")
    else:
        failures += 1
        print(f"  WRONG {what}: wanted {wanted}, got {got}")


def play(path):
    """good is as good as its baseline; bad fails in 5 %; both end now."""
    end = time.time()
    with open(path, "w", encoding="utf-8") as file:
        for tick in range(660 * 20):
            at = end - 660 + tick / 20
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
            for service in ("good", "bad"):
                canary = tick % 2 == 0
                broken = service == "bad" and canary and tick % 40 == 0
                file.write(json.dumps({
                    "@timestamp": stamp, "ecs.version": "9.0.0",
                    "service": {"name": service, "version": "v2" if canary else "v1",
                                "node": {"name": f"{service}-{tick % 4}"}},
                    "user": {"id": f"u{tick % 997}"},
                    "http": {"request": {"method": "GET"}, "route": "/",
                             "response": {"status_code": 503 if broken else 200}},
                }) + "\n")


class Server:
    def __init__(self, picket, work):
        self.config = os.path.join(work, "controllers.yaml")
        self.log = open(os.path.join(work, "controllers.log"), "w", encoding="utf-8")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"data_dir: {work}/controllers.data\nfiles: [{work}/controllers.ndjson]\n"
                       f"rules: {{paths: [{work}/rule.yml]}}\n"
                       f"api: {{listen: '127.0.0.1:0', token_file: {work}/token}}\n")
        with open(os.path.join(work, "rule.yml"), "w", encoding="utf-8") as file:
            file.write("title: t\nid: 0b6f3c1e-0d52-4f0b-8d7e-3a1c5e7f9b21\nlogsource: {category: x}\n"
                       "detection: {a: {event.action: never}, condition: a}\n")
        self.token = os.path.join(work, "token")
        with open(self.token, "w", encoding="utf-8") as file:
            file.write("secret-of-the-gate\n")
        self.process = subprocess.Popen([picket, "run", "-c", self.config], stderr=self.log)
        self.port = None
        for _ in range(100):
            with open(self.log.name, encoding="utf-8") as file:
                for line in file:
                    if " port=" in line:
                        self.port = int(line.split(" port=")[1].split()[0])
            if self.port or self.process.poll() is not None:
                break
            time.sleep(0.1)

    def ask(self, method, path, body=None, timeout=10, token="secret-of-the-gate"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def argo(server, service, canary, measurements=3, pending=False):
    """Web provider: outside 200-299 is an Error (retried, consecutiveErrorLimit), JSON by jsonPath;
    the failure condition wins; neither is Inconclusive. One success ends it (consecutiveSuccessLimit
    1), one failure fails it (failureLimit 0); without either it ends Inconclusive."""
    errors = 0
    for _ in range(measurements):
        try:
            status, text = server.ask("GET", f"/v1/gate?service={service}&canary={canary}"
                                      + ("&pending=503" if pending else ""))
        except OSError:
            status, text = 0, ""
        if not 200 <= status <= 299:
            errors += 1
            continue
        errors = 0
        result = json.loads(text)
        if result["verdict"] == "FAIL":
            return "Failed"
        if result["verdict"] == "PASS":
            return "Successful"
    return "Error" if errors == measurements else "Inconclusive"


def flagger(server, hook, service, canary):
    """A webhook succeeds up to 202; 429 and 5xx are retried and then lose their text."""
    body = json.dumps({"name": service, "namespace": "shop", "phase": "Progressing",
                       "checksum": "1", "metadata": {"service": service, "canary": canary}})
    status, text = server.ask("POST", f"/v1/flagger/{hook}", body)
    assert status != 429 and status < 500 and status != 204, status
    return status <= 202, text.split(":")[0]


def spinnaker(server, service, canary, polls=3):
    """Webhook stage: statusJsonPath is a string, mapped; other words keep it running; 4xx other
    than 429 are terminal; progressJsonPath must be a string."""
    for _ in range(polls):
        status, text = server.ask("GET", f"/v1/gate?service={service}&canary={canary}", timeout=20)
        if 400 <= status < 500 and status != 429:
            return "TERMINAL"
        if status >= 500:
            continue
        answer = json.loads(text)
        assert isinstance(answer["verdict"], str) and isinstance(answer["summary"], str)
        if answer["verdict"] == "PASS":
            return "SUCCEEDED"
        if answer["verdict"] in ("FAIL", "INCONCLUSIVE"):
            return "TERMINAL"
    return "RUNNING"


def plan(picket, server, deadline):
    return subprocess.run(
        [picket, "gate", "plan", "--service", "good", "--share", "50", "--deadline", deadline,
         "--server", f"http://127.0.0.1:{server.port}", "--token-file", server.token],
        capture_output=True, text=True, check=False).stdout


def shell(work, verdict, code):
    """deploy/shell/gate.sh with a picket that says and ends as told."""
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(work, "bin")
    os.makedirs(folder, exist_ok=True)
    fake = os.path.join(folder, "picket")
    with open(fake, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nprintf \'{"verdict":"%s","summary":"because"}\' "' + verdict
                   + f'"\nexit {code}\n')
    os.chmod(fake, 0o755)
    done = subprocess.run(
        [os.path.join(here, "../../deploy/shell/gate.sh"), "s", "c", "b",
         "echo promote", "echo rollback", "echo hold"], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]})
    return done.stdout.strip()


def main():
    picket, work = sys.argv[1], sys.argv[2]
    os.makedirs(work, exist_ok=True)
    for verdict, code, wanted in (("PASS", 0, "promote"), ("FAIL", 1, "rollback"), ("PASS", 1, "hold"),
                                  ("FAIL", 0, "hold"), ("WAIT", 3, "hold"), ("", 137, "hold")):
        check(f"gate.sh, {verdict or 'nothing'} and exit {code}", wanted, shell(work, verdict, code))
    play(os.path.join(work, "controllers.ndjson"))
    server = Server(picket, work)
    if server.port is None:
        print("  WRONG picket did not start; see controllers.log")
        return 1
    try:
        for _ in range(80):
            answer = json.loads(server.ask("GET", "/v1/gate?service=good&canary=v2&dry=1")[1])
            if answer.get("verdict") == "PASS":
                break
            time.sleep(0.1)
        check("Argo, good canary", "Successful", argo(server, "good", "v2"))
        check("Argo, bad canary", "Failed", argo(server, "bad", "v2"))
        check("Argo, unknown canary never promotes", "Inconclusive", argo(server, "good", "v9"))
        check("Argo before 1.8, unknown canary is asked again", "Error",
              argo(server, "good", "v9", pending=True))
        check("Flagger confirm, good", (True, "PASS"), flagger(server, "confirm", "good", "v2"))
        check("Flagger rollback, good", (False, "PASS"), flagger(server, "rollback", "good", "v2"))
        check("Flagger confirm, bad", (False, "FAIL"), flagger(server, "confirm", "bad", "v2"))
        check("Flagger rollback, bad", (True, "FAIL"), flagger(server, "rollback", "bad", "v2"))
        check("Flagger confirm, unknown", (False, "WAIT"), flagger(server, "confirm", "good", "v9"))
        check("Flagger rollback, unknown", (False, "WAIT"), flagger(server, "rollback", "good", "v9"))
        check("Spinnaker, good", "SUCCEEDED", spinnaker(server, "good", "v2"))
        check("Spinnaker, bad", "TERMINAL", spinnaker(server, "bad", "v2"))
        check("Spinnaker, unknown keeps running", "RUNNING", spinnaker(server, "good", "v9"))
        check("a wrong token promotes nobody", 401,
              server.ask("GET", "/v1/gate?service=good&canary=v2", token="wrong")[0])
        check("the plan names the deadline that a canary would miss", True,
              "INCONCLUSIVE before that, at the deadline of 2 min 0 s" in plan(picket, server, "2m"))
        check("and says nothing of one that it would not", False,
              "deadline" in plan(picket, server, "30m"))
        began = time.time()
        server.ask("GET", "/v1/gate?service=good&canary=v9&wait=60s", timeout=10)
        check("a long poll ends before a controller's time-out of 10 s", True, time.time() - began < 9.5)
    finally:
        server.process.terminate()
        server.process.wait()
    check("Argo, picket is gone: an error, never a success", "Error", argo(server, "good", "v2"))
    return 1 if failures else 0


sys.exit(main())
