"""Clients that behave as Argo Rollouts, a Kubernetes Job, Flagger and Spinnaker do, against a real
picket, with the limits and words of the files in deploy/.

    controllers.py PICKET WORK_DIR

Plays ten minutes of three canaries into a file, starts picket over it, and asks as the controllers
ask: which HTTP statuses are errors, how JSON is read, what is retried, when a run ends and how.
What each of them does is written beside it, after their documents and source; none of them runs
here. Exit 0: every contract holds.
"""
import http.client
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
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
                       f"provenance: {{bindings: {work}/bindings.yaml}}\n"
                       f"api: {{listen: '127.0.0.1:0', token_file: {work}/token}}\n")
        with open(os.path.join(work, "rule.yml"), "w", encoding="utf-8") as file:
            file.write("title: t\nid: 0b6f3c1e-0d52-4f0b-8d7e-3a1c5e7f9b21\nlogsource: {category: x}\n"
                       "detection: {a: {event.action: never}, condition: a}\n")
        with open(os.path.join(work, "bindings.yaml"), "w", encoding="utf-8") as file:
            file.write("- {topic: none, services: [bad], owner: team-bad}\n"
                       "- {topic: '*', services: [good, bad]}\n")
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
        self.retry_after = answer.getheader("Retry-After")
        return answer.status, answer.read().decode()


def asked(server, method, path, body=None, timeout=10, token="secret-of-the-gate"):
    """(status, text); status 0 where nobody answers."""
    try:
        return server.ask(method, path, body, timeout, token)
    except OSError:
        return 0, ""


def deployed(path):
    with open(os.path.join(HERE, "../../deploy", path), encoding="utf-8") as file:
        return file.read()


def argo_limits(*without):
    """The limits of the template that we ship."""
    template = deployed("argo-rollouts/analysis-template.yaml")
    names = ("count", "consecutiveSuccessLimit", "failureLimit", "inconclusiveLimit",
             "consecutiveErrorLimit")
    return {name: int(re.search(rf"^ +{name}: (\d+)", template, re.M)[1])
            for name in names if name not in without}


def argo(answers, limits):
    """A metric of the web provider: outside 200-299 is an Error, which counts for nothing but its own
    limit; the failure condition wins, neither is Inconclusive. When `count` is reached without
    consecutiveSuccessLimit the metric is Successful, whatever the measurements were."""
    counted = {"Failed": 0, "Inconclusive": 0}
    measured = errors = successes = 0
    for status, text in answers:
        if not 200 <= status <= 299:
            errors += 1
            if errors > limits["consecutiveErrorLimit"]:
                return "Error"
            continue
        errors = 0
        measured += 1
        verdict = json.loads(text)["verdict"]
        successes = successes + 1 if verdict == "PASS" else 0
        if successes and successes >= limits.get("consecutiveSuccessLimit", limits["count"] + 1):
            return "Successful"
        if verdict != "PASS":
            phase, limit = (("Failed", "failureLimit") if verdict == "FAIL"
                            else ("Inconclusive", "inconclusiveLimit"))
            counted[phase] += 1
            if counted[phase] > limits[limit]:
                return phase
        if measured == limits["count"]:
            return "Inconclusive" if "consecutiveSuccessLimit" in limits else "Successful"
    return "Running"


def argo_asks(server, service, canary, more="", token="secret-of-the-gate"):
    while True:
        yield asked(server, "GET", f"/v1/gate?service={service}&canary={canary}{more}", token=token)


def job(picket, server, *words):
    """What Kubernetes makes of the exit code by the podFailurePolicy that we ship."""
    code = subprocess.run(
        [picket, "gate", *words, "--server", f"http://127.0.0.1:{server.port}", "--token-file",
         server.token], capture_output=True, check=False).returncode
    if code == 0:
        return "Complete"
    rules = re.findall(r"action: (\w+).*\n.*values: \[([\d, ]+)\]",
                       deployed("argo-rollouts/job.yaml"))
    return next((action for action, codes in rules if str(code) in codes.split(", ")), "Count")


def flagger(server, hook, service, canary, token="secret-of-the-gate", **more):
    """A webhook succeeds up to 202; 429 and 5xx are retried and then lose their text."""
    body = json.dumps({"name": service, "namespace": "shop", "phase": "Progressing", "checksum": "1",
                       "metadata": {"service": service, "canary": canary, **more}})
    began = time.time()
    status, text = asked(server, "POST", f"/v1/flagger/{hook}", body, token=token)
    assert status != 429 and status < 500 and status != 204, status
    assert time.time() - began < 5, "the shipped time-out of the rollback hook"
    return 0 < status <= 202, text.split(":")[0]


def spinnaker(server, service, canary, polls=3, more="", token="secret-of-the-gate"):
    """Webhook stage: statusJsonPath is a string, mapped; other words keep it running; 4xx other
    than 429 are terminal; progressJsonPath must be a string."""
    stage = json.loads(deployed("spinnaker/stage.json"))
    for _ in range(polls):
        status, text = asked(server, "GET", f"/v1/gate?service={service}&canary={canary}{more}",
                             timeout=20, token=token)
        if 400 <= status < 500 and status != 429:
            return "TERMINAL"
        if status >= 500 or status == 0:
            continue
        answer = json.loads(text)
        said = answer[stage["statusJsonPath"].removeprefix("$.")]
        assert isinstance(said, str)
        assert isinstance(answer[stage["progressJsonPath"].removeprefix("$.")], str)
        if said in stage["successStatuses"].split(","):
            return "SUCCEEDED"
        if said in stage["terminalStatuses"].split(","):
            return "TERMINAL"
    return "RUNNING"


def plan(picket, server, deadline):
    return subprocess.run(
        [picket, "gate", "plan", "--service", "good", "--share", "50", "--deadline", deadline,
         "--server", f"http://127.0.0.1:{server.port}", "--token-file", server.token],
        capture_output=True, text=True, check=False).stdout


def shell(work, verdict, code):
    """deploy/shell/gate.sh with a picket that says and ends as told."""
    folder = os.path.join(work, "bin")
    os.makedirs(folder, exist_ok=True)
    fake = os.path.join(folder, "picket")
    with open(fake, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nprintf \'{"verdict":"%s","summary":"because"}\' "' + verdict
                   + f'"\nexit {code}\n')
    os.chmod(fake, 0o755)
    done = subprocess.run(
        [os.path.join(HERE, "../../deploy/shell/gate.sh"), "s", "c", "b",
         "echo promote", "echo rollback", "echo hold"], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]})
    return done.stdout.strip()


def told(picket, server, service, *more):
    return subprocess.run(
        [picket, "gate", "--service", service, "--canary", "v2", *more, "--server",
         f"http://127.0.0.1:{server.port}", "--token-file", server.token],
        capture_output=True, text=True, check=False).stdout


def check_argo(server):
    limits = argo_limits()
    check("Argo, good canary", "Successful", argo(argo_asks(server, "good", "v2"), limits))
    check("Argo, bad canary", "Failed", argo(argo_asks(server, "bad", "v2"), limits))
    check("Argo, unknown canary never promotes", "Inconclusive",
          argo(argo_asks(server, "good", "v9"), limits))
    check("Argo, the same without consecutiveSuccessLimit: the trap the template avoids", "Successful",
          argo(argo_asks(server, "good", "v9"), argo_limits("consecutiveSuccessLimit")))
    check("Argo before 1.8, unknown canary is asked again", "Error",
          argo(argo_asks(server, "good", "v9", "&pending=503"), limits))
    check("Argo, a wrong token", "Error", argo(argo_asks(server, "good", "v2", token="wrong"), limits))
    outage = [(0, "")] * limits["consecutiveErrorLimit"]
    check("Argo, twelve errors in a row, then PASS", "Successful",
          argo(outage + [(200, '{"verdict": "PASS"}')], limits))


def check_job(picket, server):
    same = ("--service", "good", "--canary", "v2", "--baseline", "v2")
    for what, words, wanted in (
            ("good canary", ("--service", "good", "--canary", "v2"), "Complete"),
            ("bad canary", ("--service", "bad", "--canary", "v2"), "FailJob"),
            ("inconclusive", same, "FailJob"),
            ("unknown canary is asked again", ("--service", "good", "--canary", "v9"), "Ignore"),
            ("a wrong command line", ("--service", "good"), "FailJob")):
        check(f"Job, {what}", wanted, job(picket, server, *words))


def check_flagger(server):
    for hook, good, bad in (("confirm", True, False), ("rollback", False, True)):
        check(f"Flagger {hook}, good", (good, "PASS"), flagger(server, hook, "good", "v2"))
        check(f"Flagger {hook}, bad", (bad, "FAIL"), flagger(server, hook, "bad", "v2"))
        check(f"Flagger {hook}, unknown", (False, "WAIT"), flagger(server, hook, "good", "v9"))
        check(f"Flagger {hook}, inconclusive", (False, "INCONCLUSIVE"),
              flagger(server, hook, "good", "v2", baseline="v2"))
        check(f"Flagger {hook}, a wrong token", False, flagger(server, hook, "bad", "v2", "wrong")[0])


def check_spinnaker(server):
    check("Spinnaker, good", "SUCCEEDED", spinnaker(server, "good", "v2"))
    check("Spinnaker, bad", "TERMINAL", spinnaker(server, "bad", "v2"))
    check("Spinnaker, unknown keeps running", "RUNNING", spinnaker(server, "good", "v9"))
    check("Spinnaker, inconclusive", "TERMINAL", spinnaker(server, "good", "v2", more="&baseline=v2"))
    check("Spinnaker, a wrong token", "TERMINAL", spinnaker(server, "good", "v2", token="wrong"))


def check_answer(server):
    """What every controller reads, by type; arguments that are wrong; when to ask again."""
    answer = json.loads(server.ask("GET", "/v1/gate?service=bad&canary=v2&baseline=v1")[1])
    types = {"schema": str, "verdict": str, "ok": bool, "final": bool, "score": int, "summary": str,
             "service": str, "owner": str, "canary": str, "baseline": str, "as_of": str,
             "lag_s": (int, float), "fresh": bool, "window": dict, "alpha": float, "beta": float,
             "e_value": (int, float), "reasons": list, "outcomes": list, "findings": list,
             "quality": dict, "policy": dict}
    check("the answer's members have their types", [],
          [name for name, kind in types.items() if not isinstance(answer.get(name), kind)])
    check("a score for those who want numbers", 0, answer["score"])
    check("no canary is named: 400", 400, server.ask("GET", "/v1/gate?service=good")[0])
    check("pending=503 says when to ask again", (503, True),
          (server.ask("GET", "/v1/gate?service=good&canary=v9&pending=503")[0],
           int(server.retry_after or 0) > 0))


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
        check_argo(server)
        check_job(picket, server)
        check_flagger(server)
        check_spinnaker(server)
        check_answer(server)
        check("a FAIL names its owner", True, "\nowner: team-bad\n" in told(picket, server, "bad"))
        check("an owner that nobody named", True,
              "owner: not known" in told(picket, server, "good", "--explain"))
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
    check("Argo, picket is gone: an error, never a success", "Error",
          argo(argo_asks(server, "good", "v2"), argo_limits()))
    check("Job, picket is gone: asked again", "Ignore",
          job(picket, server, "--service", "good", "--canary", "v2"))
    check("Flagger confirm, picket is gone: no promotion", False,
          flagger(server, "confirm", "good", "v2")[0])
    check("Flagger rollback, picket is gone: no rollback", False,
          flagger(server, "rollback", "bad", "v2")[0])
    check("Spinnaker, picket is gone: it keeps asking", "RUNNING", spinnaker(server, "good", "v2"))
    return 1 if failures else 0


sys.exit(main())
