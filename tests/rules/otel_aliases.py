#!/usr/bin/env python3
"""Makes rules/otel.def from the Elastic Common Schema's own `otel:` mapping, or checks it.

    npm pack @elastic/ecs@9.4.0 && tar xzf elastic-ecs-9.4.0.tgz
    tests/rules/otel_aliases.py package/generated/ecs_flat.ts > rules/otel.def
    tests/rules/otel_aliases.py --check package/generated/ecs_flat.ts

A name is an alias when ECS calls it `equivalent` (another name, the same meaning) or `otlp` (a part
of an OTLP record). `match` needs none, the names are equal; `related`, `conflict` and `metric` are
something else. What is left out although ECS names it stands in LEFT_OUT.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEFT_OUT = {
    "http.request.method_original": "stands beside http.request.method, which must not lose its value",
    "observed_time_unix_nano": "when it was first seen is event.created",
    "start_time_unix_nano": "of spans, not of logs",
}
HEAD = """/* OTEL(ECS name, OpenTelemetry name, relation): names of the semantic conventions and of OTLP that mean
 * a field of ECS, as the `otel:` mapping of ECS {version} has them. Made, and compared, by
 * tests/rules/otel_aliases.py; test_schema.c holds that schema.def has each as an alias. */
"""


def aliases(text):
    for entry in re.split(r"^  (?=['a-z_@].*: \{$)", text, flags=re.M):
        name = re.search(r"^    flat_name: '([^']+)'", entry, flags=re.M)
        block = re.search(r"^    otel: \[(.*?)\],$", entry, flags=re.M | re.S)
        if not name or not block:
            continue
        for one in re.findall(r"\{(.*?)\}", block.group(1), flags=re.S):
            other = re.search(r"\b(?:attribute|otlp_field): '([^']+)'", one)
            relation = re.search(r"\brelation: '([^']+)'", one)
            if not relation:
                sys.exit(f"{name.group(1)}: a mapping without `relation`; has the file changed?")
            if relation.group(1) in ("equivalent", "otlp") and other:
                yield name.group(1), other.group(1), relation.group(1)


def main():
    check = "--check" in sys.argv
    paths = [argument for argument in sys.argv[1:] if argument != "--check"]
    if len(paths) != 1 or not pathlib.Path(paths[0]).is_file():
        print(f"SKIP the names of OpenTelemetry: no ecs_flat.ts of ECS at {paths}")
        return 0 if check else 64
    path = pathlib.Path(paths[0])
    found = sorted(set(aliases(path.read_text())))
    if len(found) < 20:
        sys.exit(f"{path}: only {len(found)} aliases; is it the generated/ecs_flat.ts of ECS?")
    package = path.parents[1] / "package.json"
    version = re.search(r'"version": "([^"]+)"', package.read_text()).group(1)
    made = HEAD.format(version=version) + "".join(
        f'OTEL("{ecs}", "{otel}", {relation})\n'
        for ecs, otel, relation in found if otel not in LEFT_OUT)
    if not check:
        sys.stdout.write(made)
        return 0
    same = made == (ROOT / "rules" / "otel.def").read_text()
    print(f"{len(found)} names of OpenTelemetry, rules/otel.def is "
          f"{'what ECS says' if same else 'not what ECS says: make it anew'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
