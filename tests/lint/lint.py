#!/usr/bin/env python3
"""The tree's own rules: include arrows, names that exist, purity below cli/, shape figures.

Prints every violation as file:line: text and ends with a count; exit 1 when there is one.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("rules", "correlate", "storage", "ingest", "cli")
MAY_INCLUDE = {
    "rules": set(),
    "storage": {"rules"},
    "correlate": {"rules"},
    "ingest": {"rules", "storage", "correlate"},
    "cli": {"rules", "storage", "correlate", "ingest"},
}
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
TEST_FILE_LINES_MAX = 600  # an oracle stands beside its tests
# Calls that make the answer depend on more than the recorded input.
IMPURE = re.compile(
    r"\b(clock_gettime|gettimeofday|time\s*\(\s*NULL|rand|random|arc4random\w*|getenv|"
    r"randombytes\w*|printf|fprintf|perror|syslog)\s*\("
)
SOURCE_FILE = re.compile(r"(?<![.\w])[\w/]*\w+\.(?:c|h|cc|py|sh|def|md|yml)\b")
problems = []


def problem(path, line, text):
    problems.append(f"{path}:{line}: {text}")


def tracked():
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")
    return [n for n in names if n and (ROOT / n).is_file()]


def check_layers(name, lines):
    here = name.split("/")[0]
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+"(\w+)/([^"]+)"', line)
        if not match or match[1] == here or match[1] not in FOLDERS:
            continue
        if match[1] not in MAY_INCLUDE[here]:
            problem(name, number, f"{here}/ must not include {match[1]}/{match[2]}")
        elif match[2].endswith("_private.h"):
            problem(name, number, f"{match[1]}/{match[2]} is private to its folder")


def check_pure(name, lines):
    if name.startswith("cli/"):
        return
    for number, line in enumerate(lines, 1):
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line.split("/*")[0])
        if IMPURE.search(code):
            problem(name, number, "clock, randomness, environment or output below cli/")


def check_names(name, text, known):
    """Every file named in a comment (code) or anywhere (documents) exists."""
    if name.endswith((".c", ".h", ".cc", ".def")):
        spots = [(m.start(), m[0]) for m in re.finditer(r"/\*.*?\*/", text, re.S)]
    else:
        spots = [(0, text)]
    for start, spot in spots:
        for match in SOURCE_FILE.finditer(spot):
            wanted = match[0].lstrip("/")
            if wanted in known or any(k.endswith("/" + wanted) for k in known):
                continue
            if spot[max(0, match.start() - 1)] in "<*~$" or wanted in FOREIGN:
                continue
            line = text.count("\n", 0, start + match.start()) + 1
            problem(name, line, f"names {match[0]}, which does not exist")


def check_places(name, text, known):
    """What a document names as file.c:name is in that file."""
    for match in re.finditer(r"(?<![\w/])(\w+\.(?:c|h|py|sh)):([a-z]\w+)", text):
        files = [k for k in known if k.endswith("/" + match[1])]
        if not any(re.search(rf"\b{match[2]}\b", (ROOT / k).read_text()) for k in files):
            line = text.count("\n", 0, match.start()) + 1
            problem(name, line, f"{match[1]} has no {match[2]}")


def check_attacks(known):
    """Every test named after an attack stands in the table of attacks."""
    page = (ROOT / "docs/ATTACKS.md").read_text()
    for name in known:
        if not (name.startswith("tests/") and name.endswith(".c")):
            continue
        for test in re.findall(r"START_TEST\((a\d\d_\w+)\)", (ROOT / name).read_text()):
            if f"{name.split('/')[-1]}:{test}" not in page:
                problem("docs/ATTACKS.md", 1, f"does not name {name}:{test}")


# Names of other people's files that our comments cite, and files that a user makes.
FOREIGN = {
    "rocksdb/c.h", "c.h", "picket.yaml", "rule.yml", "my_rule.yml",
}


def functions(lines):
    """(first line, length) of every function: a body is '{' in column 0 up to '}' in column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            if line.strip() == "}":
                yield start, number - start
            start = None


def main():
    names = tracked()
    known = set(names)
    file_sizes, function_sizes, assertions, function_count = [], [], 0, 0
    for name in names:
        path = ROOT / name
        is_code = name.endswith((".c", ".h", ".cc", ".def"))
        if not (is_code or name.endswith(".md")) or name.startswith("tests/fuzz/corpus"):
            continue
        text = path.read_text(errors="replace")
        lines = text.split("\n")
        check_names(name, text, known)
        if not is_code:
            check_places(name, text, known)
            continue
        product = name.split("/")[0] in FOLDERS
        if product:
            check_layers(name, lines)
            check_pure(name, lines)
        if product and not name.endswith((".h", ".def")):
            file_sizes.append(len(lines))
            assertions += sum(line.count("assert(") for line in lines)
        most = FILE_LINES_MAX if product else TEST_FILE_LINES_MAX
        if len(lines) > most:
            problem(name, len(lines), f"longer than {most} lines")
        for first, length in functions(lines):
            if product:
                function_sizes.append(length)
                function_count += 1
            if length > FUNCTION_LINES_MAX:
                problem(name, first, f"function of {length} lines (at most {FUNCTION_LINES_MAX})")
    check_attacks(known)
    for text in problems:
        print(text)
    at = lambda values, share: sorted(values)[min(len(values) - 1, int(len(values) * share))]
    print(
        f"shape: {len(file_sizes)} files, median {at(file_sizes, .5)}, max {max(file_sizes)} lines; "
        f"{function_count} functions, median {at(function_sizes, .5)}, p95 {at(function_sizes, .95)}, "
        f"max {max(function_sizes)} lines; {assertions / function_count:.2f} assertions per function"
    )
    print(f"lint: {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
