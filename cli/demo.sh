#!/usr/bin/env bash
# The whole thing in about a minute: a mock Kafka broker, the daemon, a fleet of simulated services
# with an attack, a tenant breach and three canaries, and a SIGKILL in the middle.
#
#   cli/demo.sh BUILD_DIR [--check]      --check: exit 1 unless everything is as promised (tests)
#
# Nothing is softened: the rules and the gate policy are the shipped ones. Event times span seven
# minutes up to now and are played faster than they would happen.
set -uo pipefail
bin=$(cd "$1" && pwd)
check=${2:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=${PICKET_DEMO_DIR:-$(mktemp -d /tmp/picket-demo.XXXXXX)}
mkdir -p "$home"
picket=$bin/picket
seed=${PICKET_DEMO_SEED:-1}
play=${PICKET_DEMO_PLAY:-40s}
wrong=0

if [ -t 1 ]; then bold=$'\033[1m' dim=$'\033[2m' off=$'\033[0m'; else bold= dim= off=; fi
say() { printf '%s%s%s\n' "$bold" "$*" "$off"; }
note() { printf '%s    %s%s\n' "$dim" "$*" "$off"; }
expect() { # expect WHAT WANTED GOT
	if [ "$2" = "$3" ]; then
		note "as promised: $1 = $3"
	else
		printf '    NOT as promised: %s should be %s, is %s\n' "$1" "$2" "$3"
		wrong=$((wrong + 1))
	fi
}

pids=()
stop_all() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
	wait 2>/dev/null
}
trap stop_all EXIT

start_daemon() {
	"$picket" run -c "$home/picket.yaml" 2>>"$home/picket.log" &
	daemon=$!
	pids+=("$daemon")
	for _ in $(seq 100); do
		[ -S "$home/data/picket.sock" ] && "$picket" status -q >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "the daemon did not start; its log:" >&2
	tail -n 5 "$home/picket.log" >&2
	exit 1
}

say "1. A mock Kafka broker (librdkafka's mock cluster: real protocol, memory only, not a Kafka)"
"$bin/picket-mock-broker" --topics "$("$bin/picket-fleet" --print-topics)" \
	--port-file "$home/port" >"$home/broker.log" 2>&1 &
pids+=($!)
for _ in $(seq 50); do [ -s "$home/port" ] && break; sleep 0.1; done
broker=127.0.0.1:$(cat "$home/port")
note "listening on $broker; join with: kcat -b $broker -L"

say "2. picket, configured as against any broker"
cat >"$home/picket.yaml" <<YAML
data_dir: $home/data
kafka:
    bootstrap_servers: $broker
    group_id: picket-demo
    topics: ['^logs-']
    start: latest
rules:
    paths: [$root/rules/packs]
api:
    listen: 'off'
YAML
export PICKET_SERVER=unix:$home/data/picket.sock
start_daemon
note "config $home/picket.yaml, log $home/picket.log"

say "3. A fleet of services: seven minutes of event time up to now, played in $play"
"$bin/picket-fleet" --bootstrap "$broker" --seed "$seed" --start-ago 7m --duration "$play" \
	--report "$home/fleet.json" --quiet 2>"$home/fleet.log" &
fleet=$!
pids+=("$fleet")
total=${play%s}
for ((second = 1; second <= total + 30; second++)); do
	sleep 1
	if ((second == total / 2)); then
		kill -9 "$daemon"
		wait "$daemon" 2>/dev/null
		printf '\r%-78s\n' "    SIGKILL to the daemon, in the middle of everything; starting it again"
		start_daemon
	fi
	[ -s "$home/fleet.json" ] && break
	[ -t 1 ] && printf '\r    %3d s: %s' "$second" \
		"$("$picket" status -o json 2>/dev/null |
			jq -r '"\(.records.stored // 0) stored, \(.records.quarantined // 0) quarantined, \(.alerts.total // 0) alerts"' 2>/dev/null)   "
done
[ -t 1 ] && echo
kill -0 "$fleet" 2>/dev/null || { echo "the fleet ended early:"; tail -n 3 "$home/fleet.log"; exit 1; }

say "4. What it found"
"$picket" alerts list

say "5. May the canaries go on? (only exit code 0 may promote)"
verdict() { # verdict SERVICE CANARY BASELINE WANTED
	local text code
	text=$("$picket" gate -q --service "$1" --canary "$2" --baseline "$3" --wait 20s)
	code=$?
	printf '    %-9s %s against %s: exit code %d\n' "$1" "$2" "$3" "$code"
	sed 's/^/        /' <<<"$text"
	expect "verdict on $1" "$4" "$code"
}
while read -r service canary baseline wanted; do
	verdict "$service" "$canary" "$baseline" "$wanted"
done < <(jq -r '.canaries[] | "\(.service) \(.canary) \(.baseline) " +
	({PASS: 0, FAIL: 1, INCONCLUSIVE: 2, WAIT: 3, STALE: 4}[.verdict] | tostring)' "$home/fleet.json")

say "6. Was anything lost or doubled?"
kill "$fleet"
wait "$fleet" 2>/dev/null
sent=$(jq .records "$home/fleet.json")
for _ in $(seq 100); do
	status=$("$picket" status -o json)
	got=$(jq '.records.stored + .records.quarantined' <<<"$status")
	[ "$got" -ge "$sent" ] && break
	sleep 0.1
done
echo "$status" >"$home/status.json"
printf '    sent %d = stored %d + quarantined %d\n' "$sent" \
	"$(jq .records.stored <<<"$status")" "$(jq .records.quarantined <<<"$status")"
expect "lost and doubled records" 0 $((got - sent))
alerts=$("$picket" alerts list -o json --limit 1000)
while read -r rule group count; do
	found=$(jq --arg rule "$rule" --argjson group "$group" \
		'[.alerts[] | select(.rule.name == $rule and (.group | contains($group))) | .count] | @text' \
		<<<"$alerts")
	[ "$count" = null ] && count=$(jq -r 'fromjson | .[0]' <<<"$found")
	expect "events in the one alert of $rule" "[$count]" "$(jq -r . <<<"$found")"
done < <(jq -r '.alerts[] | "\(.rule) \(.group | tojson) \(.count)"' "$home/fleet.json")
expect "alerts in all, as without the kill" "$(jq '.alerts | length' "$home/fleet.json")" \
	"$(jq '.alerts | length' <<<"$alerts")"

kill "$daemon"
wait "$daemon" 2>/dev/null
say "Everything is still there; the daemon has stopped, so the store may be read directly:"
for words in "alerts list" "alerts show $(jq -r '.alerts[0].alert_id[:8]' <<<"$alerts")" \
	"events list --limit 5" "quarantine list" "services" "sources list"; do
	note "$picket $words --data $home/data"
done
if [ "$wrong" -gt 0 ]; then
	say "$wrong things were not as promised; the files are in $home"
	exit 1
fi
[ "$check" = --check ] && rm -rf "$home"
exit 0
