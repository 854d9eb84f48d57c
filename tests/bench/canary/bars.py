#!/usr/bin/env python3
"""Reads the CSV of bench_canary and says which bars hold: tables for RESULTS.md on stdout.

    bars.py FILE.csv...      exits 1 when a bar is missed, 2 when a file holds no rows

Where a cell is in several files, the one with the most runs counts. Speed is compared at equal alarms
on good canaries: of the two gates the one is taken that has more of them, but not more than Kayenta.
"""
import csv
import math
import sys

ALPHA, BETA = 0.01, 0.05
OURS, STRICT, THEIRS = "picket", "picket_psi0_1", "kayenta_50"
NUMBERS = ("rps share rate_b rate_c runs fail fail_upper95 fail_median_min fail_p90_min bad_served "
           "pass pass_upper95 pass_median_min flips cpu_ms").split()


def read(paths):
    rows = {}
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                if row["cell"] == "cell":
                    continue  # the head of a second run, appended
                for name in NUMBERS:
                    row[name] = float(row[name])
                key = row["cell"], row["judge"]
                if key not in rows or rows[key]["runs"] < row["runs"]:
                    rows[key] = row
    return rows


def is_null(row):
    """For the gate at psi0 1 already a slightly worse canary is no good one."""
    return row["null"] == "1" and (row["judge"] == OURS or row["rate_c"] <= row["rate_b"])


def percent(value):
    return f"{100 * value:.3g} %"


def minutes(value):
    return "-" if math.isnan(value) else f"{value:.1f}"


def bound(share, runs, side):
    """A one-sided bound of 95 % by Wilson's score: side 1 the upper, -1 the lower one."""
    z = 1.645
    root = z * math.sqrt(share * (1 - share) / runs + z * z / 4 / runs / runs)
    return (share + z * z / 2 / runs + side * root) / (1 + z * z / runs)


def too_often(row, what, limit):
    """From 2,000 runs on the upper bound must hold; fewer can only show that the limit is broken."""
    if row["runs"] >= 2000:
        return row[what + "_upper95"] > limit
    return bound(row[what], row["runs"], -1) > limit


def false_alarms(rows):
    """P(FAIL | good canary) <= alpha in every null cell."""
    missed = []
    runs = failures = cells = 0
    print("| good canary | runs | P(FAIL) | bound | psi0 1: runs | P(FAIL) | bound "
          "| P(PASS) | minutes |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (cell, judge), row in rows.items():
        if judge != OURS or not is_null(row):
            continue
        if cell.startswith("grid"):
            cells += 1
            runs += row["runs"]
            failures += round(row["fail"] * row["runs"])
        other = rows.get((cell, STRICT))
        strict = other is not None and is_null(other)
        for one in [row, other] if strict else [row]:
            if too_often(one, "fail", ALPHA):
                missed.append(f"{cell} ({one['judge']}): {percent(one['fail'])}, bound "
                              f"{percent(one['fail_upper95'])} of {one['runs']:.0f}")
        if not cell.startswith("grid"):
            second = [f"{other['runs']:.0f}", percent(other["fail"]),
                      percent(other["fail_upper95"])] if strict else ["-"] * 3
            print(f"| {cell} | {row['runs']:.0f} | {percent(row['fail'])} "
                  f"| {percent(row['fail_upper95'])} | " + " | ".join(second)
                  + f" | {percent(row['pass'])} | {minutes(row['pass_median_min'])} |")
    if runs > 0:
        print(f"\n{cells} good cells of the grid together: {failures} of {runs:.0f} failed "
              f"({percent(failures / runs)}, bound {percent(bound(failures / runs, runs, 1))}).")
    return missed


def wrong_passes(rows):
    """P(PASS | ratio >= psi_tol and rate >= p_abs) <= beta."""
    missed = []
    print("\n| must not pass | runs | P(PASS) | bound | P(FAIL) | minutes |")
    print("|---|---|---|---|---|---|")
    total = count = 0
    for (cell, judge), row in rows.items():
        if judge != OURS or row["must_not_pass"] != "1":
            continue
        total += row["runs"]
        count += round(row["pass"] * row["runs"])
        if too_often(row, "pass", BETA):
            missed.append(f"{cell}: P(PASS) {percent(row['pass'])} of {row['runs']:.0f}")
        if not cell.startswith("grid") or row["pass"] > BETA / 10:
            print(f"| {cell} | {row['runs']:.0f} | {percent(row['pass'])} "
                  f"| {percent(row['pass_upper95'])} | {percent(row['fail'])} "
                  f"| {minutes(row['fail_median_min'])} |")
    if total > 0:
        print(f"\nAll {total:.0f} canaries that must not pass: {count} passed "
              f"({percent(count / total)}, bound {percent(bound(count / total, total, 1))}).")
    return missed


def alarms(rows, judge):
    """Share of canaries as good as their baseline that were rolled back, over all cells of the grid."""
    cells = [row for (cell, one), row in rows.items()
             if one == judge and cell.startswith("grid") and row["rate_c"] <= row["rate_b"]]
    runs = sum(row["runs"] for row in cells)
    return sum(row["fail"] * row["runs"] for row in cells) / runs if runs else math.nan


def is_slower(ours, theirs):
    return theirs["fail"] > ours["fail"] + 0.02 or (
        theirs["fail"] >= 0.5 and theirs["fail_median_min"] < ours["fail_median_min"])


def speed(rows):
    """Detection not slower than Kayenta's, where the canary is three times as bad or worse."""
    rates = {judge: alarms(rows, judge) for judge in (OURS, STRICT, THEIRS)}
    if any(math.isnan(rate) for rate in rates.values()):
        print("\nno grid: speed is not compared")
        return []
    fair = STRICT if rates[STRICT] <= rates[THEIRS] else OURS
    print("\nalarms on good canaries of the grid: "
          + ", ".join(f"{judge} {percent(rate)}" for judge, rate in rates.items())
          + f"; compared: {fair}")
    found = {"three times as bad or worse, Kayenta is better": [], "the default policy there": [],
             "below that, Kayenta is better": [], "Kayenta detects less than 5 %": []}
    missed, default, better, blind = found.values()
    compared = 0
    for (cell, judge), ours in rows.items():
        theirs = rows.get((cell, THEIRS))
        if judge != fair or theirs is None or ours["rate_c"] <= ours["rate_b"]:
            continue
        much = ours["rate_b"] > 0 and ours["rate_c"] >= 2.99 * ours["rate_b"]
        compared += much
        if is_slower(ours, theirs):
            (missed if much else better).append((cell, ours, theirs))
        if much and is_slower(rows[cell, OURS], theirs):
            default.append((cell, rows[cell, OURS], theirs))
        if theirs["fail"] < 0.05 <= ours["fail"]:
            blind.append((cell, ours, theirs))
    print(f"compared where three times as bad or worse: {compared} cells")
    for title, cells in found.items():
        print(f"\n{title}: {len(cells)} cells")
        for cell, ours, theirs in cells:
            print(f"  {cell}: {percent(ours['fail'])} {minutes(ours['fail_median_min'])} min, "
                  f"Kayenta {percent(theirs['fail'])} {minutes(theirs['fail_median_min'])} min")
    return [f"{cell}: Kayenta is faster" for cell, _, _ in missed]


def judges(rows):
    """Every judge over the named cells: alarms on good canaries, detection of bad ones."""
    names = list(dict.fromkeys(judge for _, judge in rows))
    cells = [cell for cell, judge in rows if judge == THEIRS and not cell.startswith("grid")]
    if not cells:
        return
    print("\n| cell | " + " | ".join(names) + " |\n|---" * 1 + "|---" * len(names) + "|")
    for cell in cells:
        shown = []
        for judge in names:
            row = rows.get((cell, judge))
            shown.append("-" if row is None else f"{100 * row['fail']:.1f}"
                         + ("" if math.isnan(row["fail_median_min"])
                            else f" ({row['fail_median_min']:.1f}m)"))
        print(f"| {cell} | " + " | ".join(shown) + " |")


def grid(rows):
    """Mean share that each judge rolls back, over the cells of the grid that are as bad."""
    names = list(dict.fromkeys(judge for cell, judge in rows if cell.startswith("grid")))
    groups = {}
    for (cell, judge), row in rows.items():
        if not cell.startswith("grid"):
            continue
        alone = row["rate_b"] == 0 and row["rate_c"] > 0
        ratio = 1 if row["rate_b"] == 0 else round(row["rate_c"] / row["rate_b"], 4)
        as_bad = (1, row["rate_c"]) if alone else (0, ratio)
        groups.setdefault(as_bad, {}).setdefault(judge, []).append(row["fail"])
    if not groups:
        return
    print("\n| grid: errors of the canary | cells | " + " | ".join(names) + " |\n|---|---"
          + "|---" * len(names) + "|")
    for (alone, size), shares in sorted(groups.items()):
        title = f"{100 * size:.3g} %, baseline none" if alone else f"{size:g} times"
        means = [f"{100 * sum(shares[judge]) / len(shares[judge]):.3g}" if judge in shares else "-"
                 for judge in names]
        print(f"| {title} | {max(map(len, shares.values()))} | " + " | ".join(means) + " |")


def main(paths):
    rows = read(paths)
    if not rows:
        print("bars.py: no rows; run bench_canary first", file=sys.stderr)
        return 2
    missed = false_alarms(rows) + wrong_passes(rows)
    judges(rows)
    grid(rows)
    missed += speed(rows)
    flips = sum(row["flips"] for (_, judge), row in rows.items() if judge == OURS)
    print(f"\nverdicts that changed after a FAIL: {flips:.0f}")
    if flips:
        missed.append("a FAIL was taken back")
    print("\nbars missed: " + ("none" if not missed else str(len(missed))))
    for line in missed:
        print("  " + line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
