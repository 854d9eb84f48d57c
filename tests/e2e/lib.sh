# shellcheck shell=bash
# What the end-to-end tests share. Source it; it changes nothing but its own functions and traps.
#
#   e2e_begin NAME            temporary folder $work, traps that end every process started here
#   section TEXT              a heading
#   e2e_finish                closing line "N passed, N failed, N skipped"; exit code
#
#   pass TEXT | fail TEXT | skip TEXT            counted; skip prints "SKIP TEXT"
#   assert_equal TEXT WANTED GOT
#   assert_match TEXT EXTENDED_REGEX GOT
#   assert_ok TEXT COMMAND...                    its exit code is 0
#   assert_exit TEXT CODE COMMAND...             output is left in $work/out and $work/err
#   wait_for SECONDS COMMAND...                  until the command succeeds
#
#   mock_start TOPICS [NAME [OPTIONS]]           picket-mock-broker in the background, NAME where
#                             there are several; sets BROKER (host:port)
#   mock_stop [NAME]
#   mock_say NAME COMMAND     trouble: see picket-mock-broker --help
#   produce BROKER [ARGS]     see tests/e2e/produce.py
#
# A "node" is one picket with its own config, data folder and log: $work/NODE.{yaml,data,log}.
#   node_config NODE BROKER TOPICS [YAML]        TOPICS as in a YAML list: "'^logs-'"; YAML: further
#                                                lines; keys given there replace the defaults
#   node_start NODE           starts it and waits until it answers; 1 when it ended instead
#   node_launch NODE          starts it and does not wait
#   node_stop NODE            SIGTERM; sets STOP_CODE and STOP_MS
#   node_kill NODE            SIGKILL
#   node_alive NODE
#   node NODE WORDS...        the CLI: through the socket while it runs, from the store when it does not
#   node_status NODE FILTER   a jq filter over the status ("" when there is no answer)
#   node_wait NODE SECONDS FILTER                until the jq filter over the status is true
#   node_wait_records NODE SECONDS COUNT         until COUNT records are stored or quarantined
#   node_wait_caught_up NODE SECONDS             until no partition has a lag
#   node_stored NODE TOPIC PARTITION             a line "OFFSET INDEX" for every stored event
#   node_quarantined NODE [TOPIC [PARTITION]]    a line "TOPIC PARTITION OFFSET INDEX REASON" each
#   node_alerts NODE          one sorted line for every alert: rule, tenant, group, first, last, count, level
#   alert_lines               the same lines from alerts on standard input, one object a line
#   node_exactly_once NODE TOPIC PARTITION COUNT assertion: offsets 0..COUNT-1 are stored or
#                                                quarantined, each once

e2e_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
case ${PICKET_BUILD:=build/release} in
/*) e2e_build=$PICKET_BUILD ;;
*) e2e_build=$e2e_root/$PICKET_BUILD ;;
esac
picket=$e2e_build/picket

# More than one test may hold, and quicker than the limit of a list.
E2E_LIST_MAX=10000
E2E_PAGE_OFFSETS=2000

e2e_passed=0 e2e_failed=0 e2e_skipped=0
declare -A e2e_pids=()
if [ -t 1 ]; then e2e_bold=$'\033[1m' e2e_off=$'\033[0m'; else e2e_bold='' e2e_off=''; fi

e2e_cleanup() {
	local pid
	# What was started and forgotten must not keep the run waiting for ever.
	for pid in "${e2e_pids[@]}" $(jobs -p); do kill -KILL "$pid" 2>/dev/null; done
	wait 2>/dev/null
	declare -F e2e_cleanup_more >/dev/null && e2e_cleanup_more
	if [ -n "${E2E_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}

e2e_begin() {
	local program
	work=$(mktemp -d "/tmp/picket-e2e-$1.XXXXXX") || exit 70
	trap e2e_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	unset PICKET_SERVER PICKET_CONFIG PICKET_TOKEN NO_COLOR
	[ -x "$picket" ] || { echo "no program $picket: build it first (PICKET_BUILD)"; exit 70; }
	for program in jq kcat python3; do
		command -v "$program" >/dev/null || { echo "$program is needed: ./dev deps"; exit 70; }
	done
	e2e_started=$SECONDS
}

section() { printf '%s== %s%s (at %d s)\n' "$e2e_bold" "$*" "$e2e_off" $((SECONDS - e2e_started)); }

e2e_finish() {
	echo "took $((SECONDS - e2e_started)) s"
	echo "$e2e_passed passed, $e2e_failed failed, $e2e_skipped skipped"
	[ "$e2e_failed" -eq 0 ]
	exit
}

pass() { e2e_passed=$((e2e_passed + 1)); echo "  ok    $1"; }
skip() { e2e_skipped=$((e2e_skipped + 1)); echo "SKIP $1"; }
fail() {
	e2e_failed=$((e2e_failed + 1))
	echo "  FAIL  $1"
	shift
	for line; do head -c 4000 <<<"$line" | sed 's/^/          /'; done
}

assert_equal() {
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "wanted: $2" "got:    $3"; fi
}

assert_match() {
	if grep -qE -- "$2" <<<"$3"; then pass "$1"; else fail "$1" "no line fits: $2" "got: $3"; fi
}

assert_exit() {
	local text=$1 wanted=$2 code
	shift 2
	"$@" >"$work/out" 2>"$work/err"
	code=$?
	if [ $code -eq "$wanted" ]; then
		pass "$text"
	else
		fail "$text" "wanted exit code $wanted, got $code: $*" "$(tail -n 5 "$work/err")"
	fi
}

assert_ok() {
	local text=$1
	shift
	assert_exit "$text" 0 "$@"
}

wait_for() {
	local end=$((SECONDS + $1))
	shift
	while ! "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

# --- the mock broker ---------------------------------------------------------------------------

mock_start() {
	local name=${2:-mock}
	local port=$work/$name.port commands=$work/$name.commands
	rm -f "$port"
	[ -p "$commands" ] || mkfifo "$commands"
	# Opened for both, the pipe has no end while the broker lives, whoever writes to it.
	"$e2e_build/picket-mock-broker" --topics "$1" --port-file "$port" --commands "${@:3}" \
		<>"$commands" >>"$work/broker.log" 2>&1 &
	e2e_pids[$name]=$!
	for _ in $(seq 100); do [ -s "$port" ] && break; sleep 0.05; done
	BROKER=127.0.0.1:$(cat "$port" 2>/dev/null)
	[ -s "$port" ] || fail "the mock broker starts" "$(tail -n 3 "$work/broker.log")"
}

mock_stop() {
	local name=${1:-mock}
	kill "${e2e_pids[$name]}" 2>/dev/null
	wait "${e2e_pids[$name]}" 2>/dev/null
	unset "e2e_pids[$name]"
}

mock_say() {
	local name=$1
	shift
	echo "$*" >"$work/$name.commands"
}

produce() { python3 "$e2e_root/tests/e2e/produce.py" "$@"; }

# --- nodes -------------------------------------------------------------------------------------

# A top-level key of the further YAML replaces the default of that key as a whole.
node_config() {
	local node=$1 broker=$2 topics=$3 more=${4:-}
	{
		grep -q '^data_dir:' <<<"$more" || echo "data_dir: $work/$node.data"
		grep -q '^kafka:' <<<"$more" || cat <<-YAML
		kafka:
		    bootstrap_servers: $broker
		    group_id: picket-test-$node
		    topics: [$topics]
		    start: earliest
		YAML
		grep -q '^rules:' <<<"$more" || printf 'rules:\n    paths: [%s]\n' "$e2e_root/rules/packs"
		grep -q '^api:' <<<"$more" || printf 'api:\n    listen: "off"\n'
		printf '%s\n' "$more"
	} >"$work/$node.yaml"
}

node_launch() {
	"$picket" run -c "$work/$1.yaml" >>"$work/$1.out" 2>>"$work/$1.log" &
	e2e_pids[$1]=$!
}

node_alive() { [ -n "${e2e_pids[$1]:-}" ] && kill -0 "${e2e_pids[$1]}" 2>/dev/null; }

node_data() { sed -n 's/^data_dir: //p' "$work/$1.yaml"; }

node_start() {
	node_launch "$1"
	for _ in $(seq 600); do
		node "$1" status -q >/dev/null 2>&1 && return 0
		node_alive "$1" || break
		sleep 0.05
	done
	node_alive "$1" || unset "e2e_pids[$1]"
	tail -n 5 "$work/$1.log"
	return 1
}

node_stop() {
	local pid=${e2e_pids[$1]:-} start=${EPOCHREALTIME/./}
	[ -n "$pid" ] || return 1
	kill -TERM "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	STOP_CODE=$?
	STOP_MS=$(((${EPOCHREALTIME/./} - start) / 1000))
	unset "e2e_pids[$1]"
}

node_kill() {
	local pid=${e2e_pids[$1]:-}
	[ -n "$pid" ] || return 1
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	unset "e2e_pids[$1]"
}

node() {
	local node=$1
	shift
	if node_alive "$node"; then
		"$picket" "$@" --server "unix:$(node_data "$node")/picket.sock"
	else
		"$picket" "$@" --data "$(node_data "$node")"
	fi
}

node_status() { node "$1" status -o json 2>/dev/null | jq -r "$2" 2>/dev/null; }

node_wait() {
	local end=$((SECONDS + $2))
	while [ "$(node_status "$1" "$3")" != true ]; do
		[ $SECONDS -lt $end ] || return 1
		node_alive "$1" || return 1
		sleep 0.1
	done
}

node_wait_records() {
	node_wait "$1" "$2" ".records.stored + .records.quarantined >= $3" && return 0
	echo "    $1 has $(node_status "$1" '.records | tojson'), not yet $3; its log:"
	tail -n 3 "$work/$1.log"
	return 1
}

node_wait_caught_up() { node_wait "$1" "$2" '.sources.partitions > 0 and .sources.lag == 0'; }

node_end_offset() {
	node "$1" sources list -o json 2>/dev/null | jq -r --arg topic "$2" --argjson partition "$3" \
		'.sources[] | select(.topic == $topic and .partition == $partition) | .next_offset'
}

node_stored() {
	local next from rows
	next=$(node_end_offset "$1" "$2" "$3")
	for ((from = 0; from < ${next:-0}; from += E2E_PAGE_OFFSETS)); do
		rows=$(node "$1" events list --topic "$2" --partition "$3" --from "$from" \
			--to $((from + E2E_PAGE_OFFSETS - 1)) --limit $E2E_LIST_MAX -o ndjson |
			jq -r '"\(.offset) \(.index)"')
		[ -z "$rows" ] || echo "$rows"
		[ "$(wc -l <<<"$rows")" -lt $E2E_LIST_MAX ] || echo "more than one page"
	done
}

node_quarantined() {
	node "$1" quarantine list ${2:+--topic "$2"} ${3:+--partition "$3"} --limit $E2E_LIST_MAX -o ndjson |
		jq -r '"\(.topic) \(.partition) \(.offset) \(.index) \(.reason)"'
}

node_alerts() { node "$1" alerts list --limit $E2E_LIST_MAX -o ndjson | alert_lines; }

# Alerts as objects, one a line -> what an alert says, however its events came in; sorted.
alert_lines() {
	jq -r '[.rule.name // .rule.title, .tenant, (.group | tojson), .first, .last, .count,
		.rule.level] | map(tostring) | join(" ")' | LC_ALL=C sort
}

node_exactly_once() {
	local what="$1: $2/$3 holds each of $4 records exactly once" all
	all=$({
		node_stored "$1" "$2" "$3"
		node_quarantined "$1" "$2" "$3" | awk '{print $3, $4}'
	} | awk -v count="$4" '
		seen[$1 " " $2]++ { doubled++ }
		!offset[$1]++ { kept++ }
		$1 !~ /^[0-9]+$/ || $1 >= count { alien++ }
		END { printf "%d kept, %d doubled, %d alien", kept, doubled, alien }')
	assert_equal "$what" "$4 kept, 0 doubled, 0 alien" "$all"
}
