# shellcheck shell=bash
# Many rules, and the engines beside us: sourced by tests/bench/run.sh.
#
#   rsigma      from crates.io, built by cargo into the cache
#   syslog-ng   from Debian, unpacked in the cache, never installed: the two exclude each other, and
#   rsyslog     neither may become this machine's logger
#
# The cache is PICKET_BENCH_CACHE (default: ~/.cache/picket-bench). Figures are CPU time, the same
# command over one event taken off: reading the rules is told apart. Two engines are only compared
# when they report the same number of matches.

rsigma_version=0.23.0
cache=${PICKET_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/picket-bench}
lane_count=${PICKET_BENCH_LANE_EVENTS:-100000}
filter_count=${PICKET_BENCH_FILTER_EVENTS:-20000}
data=${PICKET_DATA:-../shared/data}

# The SigmaHQ rules: the folder given, or the archive among the data.
find_sigma() {
	sigma=${1:-$work/sigma}
	[ -d "$sigma" ] && return
	[ -f "$data/sigmahq-rules/sigma-rules.tar.xz" ] || return
	mkdir -p "$sigma"
	tar -C "$sigma" -xf "$data/sigmahq-rules/sigma-rules.tar.xz"
}

make_lanes() {
	[ -s "$work/windows.ndjson" ] ||
		python3 tests/bench/lanes.py windows "$lane_count" >"$work/windows.ndjson"
	[ -s "$work/cloudtrail.ndjson" ] ||
		python3 tests/bench/lanes.py cloudtrail "$lane_count" "$data" >"$work/cloudtrail.ndjson" || {
		echo "no CloudTrail records below $data: that lane is not measured"
		rm -f "$work/cloudtrail.ndjson"
	}
}

# The files that we refuse are left out for everybody.
make_set() {
	[ -d "$work/set-$1" ] && return
	[ -f "$work/refused" ] || "$bin/picket" rules lint -o ndjson "$sigma" 2>/dev/null |
		jq -r 'select(.kind == "refused") | .at.file' | sort -u >"$work/refused"
	python3 tests/bench/rule_sets.py sample "$sigma" "$work/set-$1" "$1" <"$work/refused"
}

# cpu COMMAND...: CPU seconds and peak KiB of a command, the faster of two runs; its output in $work/out.
cpu() {
	for _ in 1 2; do
		/usr/bin/env time -f '%U %S %M' -o "$work/time" "$@" >"$work/out" 2>"$work/err" ||
			[ $? -le 2 ] || { # 2 of ours: some lines could not be read
			tail -n 3 "$work/err" >&2
			return 1
		}
		tail -n 1 "$work/time"
	done | awk '{ s = $1 + $2; if (NR == 1 || s < best) best = s; m = $3 > m ? $3 : m }
		END { print best, m }'
}

# row LABEL EVENTS COMMAND...: FILE in the command is the lane; sets `us` and `found`.
row() {
	local label=$1 lane=$2 load whole
	shift 2
	head -n 1 "$lane" >"$work/one.ndjson"
	load=$(cpu "${@//FILE/$work/one.ndjson}") && whole=$(cpu "${@//FILE/$lane}") || {
		echo "$label: failed"
		found=none
		return 1
	}
	found=$(wc -l <"$work/out")
	us=$(awk -v l="$load" -v w="$whole" -v n="$(wc -l <"$lane")" 'BEGIN {
		split(l, a); split(w, b); printf "%.2f", (b[1] - a[1]) * 1e6 / n }')
	awk -v label="$label" -v us="$us" -v l="$load" -v w="$whole" -v f="$found" 'BEGIN {
		split(l, a); split(w, b)
		printf "%-44s %8.2f us/event %9.0f events/s/core  load %.2f s  peak %4.0f MB  matches %d\n",
			label, us, (us > 0 ? 1e6 / us : 0), a[1], b[2] / 1024, f }'
}

picket_row() { # LABEL LANE RULES [LOGSOURCE]
	row "$1" "$2" "$bin/picket" scan -q --matches --input raw --rules "$3" ${4:+--logsource "$4"} FILE
}

rsigma_row() { # LABEL LANE RULES [LOGSOURCE]
	row "$1" "$2" "$cache/rsigma/bin/rsigma" engine eval -r "$3" -e @FILE --input-format json \
		--output-format ndjson ${4:+--logsource-routing --event-logsource "$4"}
}

# ratio WHO: their time over ours, or why there is none.
ratio() {
	[ "$found" = "$our_found" ] || {
		echo "    not compared with $1: it found $found, we $our_found"
		return
	}
	awk -v who="$1" -v a="$us" -v b="$our_us" \
		'BEGIN { printf "    %.1f times the time of picket for %s\n", a / b, who }'
}

get_rsigma() {
	[ -x "$cache/rsigma/bin/rsigma" ] && return
	command -v cargo >/dev/null || {
		echo "no cargo: rsigma is not measured"
		return 1
	}
	echo "building rsigma $rsigma_version ..." >&2
	cargo install rsigma --version "$rsigma_version" --locked --root "$cache/rsigma" \
		>"$work/cargo.log" 2>&1 || {
		echo "rsigma could not be built: not measured ($(tail -n 1 "$work/cargo.log"))"
		return 1
	}
}

bench_lane() { # LANE LOGSOURCE
	local lane=$work/$1.ndjson count first=
	[ -s "$lane" ] || return
	echo "$1: $(wc -l <"$lane") events of $(awk '{ n += length } END { printf "%d", n / NR }' "$lane") bytes"
	for count in 10 100 1000 3000 10000; do
		make_set "$count"
		picket_row "  picket, $count rules, routed" "$lane" "$work/set-$count" "$2"
		our_us=$us our_found=$found
		first=${first:-$us}
		[ "$rsigma" = yes ] && rsigma_row "  rsigma, $count rules, routed" "$lane" \
			"$work/set-$count" "$2" && ratio rsigma
		picket_row "  picket, $count rules, not routed" "$lane" "$work/set-$count"
		local routed_us=$our_us
		our_us=$us our_found=$found
		[ "$rsigma" = yes ] && rsigma_row "  rsigma, $count rules, not routed" "$lane" \
			"$work/set-$count" && ratio rsigma
		our_us=$routed_us
	done
	awk -v a="$first" -v b="$our_us" \
		'BEGIN { printf "  growth from 10 to 10,000 rules, routed: %.2f\n", b / a }'
}

get_loggers() {
	local root=$cache/loggers package
	[ -x "$root/usr/sbin/syslog-ng" ] && [ -x "$root/usr/sbin/rsyslogd" ] && return
	mkdir -p "$cache/debs" "$root"
	(cd "$cache/debs" && apt-get download -qq syslog-ng-core rsyslog libestr0 libfastjson4 \
		libivykis0 libnet1 liblognorm5 libpcre3) >"$work/apt.log" 2>&1 || {
		echo "no packages from Debian: syslog-ng and rsyslog are not measured"
		return 1
	}
	for package in "$cache"/debs/*.deb; do dpkg -x "$package" "$root"; done
}

# logger_row LABEL COMMAND...: the time of a daemon that is stopped when the last event came out.
logger_row() {
	local label=$1 waited=0 pid
	shift
	rm -f "$work/logger/out" "$work/logger/end"
	: >"$work/logger/out"
	LD_LIBRARY_PATH=$libraries /usr/bin/env time -f '%U %S %M' -o "$work/time" "$@" \
		>"$work/logger/log" 2>&1 &
	pid=$!
	until [ -s "$work/logger/end" ] || [ $((waited++)) -gt 1200 ] || ! kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
	done
	[ -s "$work/logger/end" ] || {
		echo "$label: nothing came out ($(tail -n 1 "$work/logger/log"))"
		kill "$(pgrep -P "$pid")" 2>/dev/null
		wait "$pid"
		return 1
	}
	kill "$(pgrep -P "$pid")"
	wait "$pid"
	found=$(wc -l <"$work/logger/out")
	us=$(tail -n 1 "$work/time" | awk -v n="$filter_count" '{ printf "%.2f", ($1 + $2) * 1e6 / n }')
	printf '%-44s %8.2f us/event %9.0f events/s/core  matches %d\n' "$label" "$us" \
		"$(awk -v us="$us" 'BEGIN { print 1e6 / us }')" "$found"
}

syslog_ng_row() { # LABEL SET
	cat - "$2/syslog-ng.conf.part" >"$work/logger/syslog-ng.conf" <<CONF
@version: 3.38
options { stats-freq(0); log-msg-size(65536); };
source in { file("$work/logger/in" flags(no-parse) follow-freq(1) log-iw-size(20000)
	log-fetch-limit(1000)); };
parser json { json-parser(prefix(".json.")); };
destination out { file("$work/logger/out" template("\${MESSAGE}\n")); };
destination end { file("$work/logger/end" template("\${MESSAGE}\n")); };
filter end { match("END OF EVENTS" value(".json.CommandLine") type(string) flags(substring)); };
CONF
	rm -f "$work/logger/persist"
	logger_row "$1" "$root/usr/sbin/syslog-ng" -F --no-caps --module-path \
		"$root/usr/lib/syslog-ng/3.38" -f "$work/logger/syslog-ng.conf" \
		--persist-file="$work/logger/persist" --pidfile="$work/logger/pid" \
		--control="$work/logger/control"
}

rsyslog_row() { # LABEL SET
	rm -rf "$work/logger/state" && mkdir "$work/logger/state"
	cat >"$work/logger/rsyslog.conf" <<CONF
global(workDirectory="$work/logger/state" maxMessageSize="64k")
module(load="imfile" mode="polling" pollingInterval="1")
module(load="mmjsonparse")
template(name="m" type="string" string="%msg%\n")
input(type="imfile" file="$work/logger/in" tag="x:" ruleset="r" readMode="0")
ruleset(name="r" queue.type="FixedArray" queue.size="200000" queue.dequeueBatchSize="1024"
	queue.workerThreads="1") {
action(type="mmjsonparse" cookie="")
$(sed "s|FILES|$work/logger|" "$2/rsyslog.conf.part")
if \$!CommandLine contains "END OF EVENTS" then { action(type="omfile" file="$work/logger/end" template="m") }
}
CONF
	logger_row "$1" "$root/usr/sbin/rsyslogd" -n -M "$root/usr/lib/x86_64-linux-gnu/rsyslog" \
		-f "$work/logger/rsyslog.conf" -i "$work/logger/pid"
}

bench_filters() {
	local root=$cache/loggers count set
	local libraries=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu:$root/usr/lib/syslog-ng:$root/usr/lib/syslog-ng/3.38
	get_loggers || return
	mkdir -p "$work/logger"
	head -n "$filter_count" "$work/windows.ndjson" >"$work/filtered.ndjson"
	{ cat "$work/filtered.ndjson"; echo '{"CommandLine":"END OF EVENTS"}'; } >"$work/logger/in"
	echo "filters on one field: the first $filter_count events of the windows lane"
	for count in 10 100 1000; do
		set=$work/filters-$count
		[ -d "$set" ] || python3 tests/bench/rule_sets.py filters "$set" "$count"
		picket_row "  picket, $count rules" "$work/filtered.ndjson" "$set/sigma" product=windows
		our_us=$us our_found=$found
		syslog_ng_row "  syslog-ng, $count filters" "$set" && ratio syslog-ng
		rsyslog_row "  rsyslog, $count filters" "$set" && ratio rsyslog
	done
}

# correlation_rule TYPE CONDITION: failed logins of a user within ten seconds.
correlation_rule() {
	cat <<YAML
title: failed login
name: failed_login
id: 5d6b9f0a-1111-4a5e-9c57-000000000001
logsource: {product: app}
detection: {failed: {action: login, outcome: failure}, condition: failed}
level: informational
---
title: many failed logins
id: 5d6b9f0a-1111-4a5e-9c57-000000000002
correlation: {type: $1, rules: [failed_login], group-by: [user], timespan: 10s, condition: {$2}}
level: high
YAML
}

# Who was told of, and the time: rsigma tells again at every event behind the threshold, picket once
# an episode, so users are compared. Its times are whole seconds, ours are not: the sets may differ
# by a user whose window is a fraction too long.
bench_correlations() {
	local us found type condition
	[ -s "$work/logins.ndjson" ] ||
		python3 tests/bench/logins.py $((lane_count * 5)) >"$work/logins.ndjson"
	for type in event_count value_count; do
		condition='gte: 20'
		[ $type = event_count ] || condition='field: ip, gte: 20'
		correlation_rule $type "$condition" >"$work/$type.yml"
		row "picket, $type" "$work/logins.ndjson" "$bin/picket" scan -q --input raw \
			--lateness 10s --rules "$work/$type.yml" FILE
		told_of "$(jq -r '.group.user' "$work/out")"
		get_rsigma || continue
		row "rsigma, $type" "$work/logins.ndjson" "$cache/rsigma/bin/rsigma" engine eval -q \
			--no-detections -r "$work/$type.yml" -e @FILE --input-format json --output-format ndjson
		told_of "$(jq -r '.group_key[]? | select(.[0] == "user")[1]' "$work/out")"
	done
}

told_of() { printf '    users told of: %d\n' "$(sort -u <<<"$1" | grep -c .)"; }

bench_rules() {
	build_programs || return
	local sigma us found our_us our_found rsigma=no
	find_sigma "${1:-}" || {
		echo "no rules: ./dev bench rules FOLDER, a checkout of SigmaHQ's rules"
		return
	}
	make_lanes
	local lanes=("process_creation/windows/" "$work/windows.ndjson")
	[ -s "$work/cloudtrail.ndjson" ] && lanes+=("/aws/cloudtrail" "$work/cloudtrail.ndjson")
	"$bin/bench_rules" "$sigma" "${lanes[@]}"
	get_rsigma && rsigma=yes
	[ "$rsigma" = yes ] && "$cache/rsigma/bin/rsigma" --version
	bench_lane windows product=windows,category=process_creation
	bench_lane cloudtrail product=aws,service=cloudtrail
	bench_filters
}

# Events that were written to hurt, among the same rules.
bench_hostile() {
	build_programs || return
	local sigma
	find_sigma "" || {
		echo "no rules among the data: not measured"
		return
	}
	make_lanes
	"$bin/bench_hostile" "$sigma" "$work/windows.ndjson" "$work/hostile.yml"
}
