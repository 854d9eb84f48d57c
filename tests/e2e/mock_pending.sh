# shellcheck shell=bash
# A canary waits for its PASS, and the machinery around picket breaks: brokers, group, topic, store,
# process. Each scene has a broker, a daemon and traffic of its own, so that all of them break at once
# and the waiting is done once. In each, `healthy` is as good as its baseline and `broken_1` begins to
# fail as the fault begins: whatever breaks, the second must never be let through. Sourced by
# tests/e2e/mock.sh; the faults that are the canary's own are in mock_drills.sh.

PENDING_SCENES=(members moves slow leaderless damaged gone again poisoned rewound handles)
PENDING_FAULT=32    # seconds: longer than max_lag, a bucket and a poll
PENDING_RECOVERY=45 # until the verdict is there

pending_config() {
	local hang
	hang=$(cat "$work/hang.port")
	node_config "$1" - - "kafka:
    bootstrap_servers: $BROKER
    group_id: picket-test-$1
    topics: [logs-drill]
    start: earliest
    stalled_after: 10s
lateness: 2s
epoch: 500ms
workers: 1
rules: {paths: [$work/$1.rules]}
gate: {policies: [$work/pending.policy.yml]}
receivers: {webhook: {url: \"http://127.0.0.1:$hang/\"}}"
}

# pending_open SCENE: its broker, daemon and traffic.
pending_open() {
	local scene=$1 brokers=1
	[ "$scene" = moves ] && brokers=2
	mkdir "$work/$scene.rules"
	cp "$e2e_root"/rules/packs/auth/*.yml "$work/$scene.rules/"
	mock_start logs-drill:4 "$scene-broker" --brokers $brokers
	pending_config "$scene"
	assert_ok "$scene: the daemon starts" pending_start "$scene"
	pending_traffic "$scene"
}

pending_broker() { sed -n 's/.*bootstrap_servers: //p' "$work/$1.yaml"; }

pending_start() {
	case $1 in
	damaged) LD_PRELOAD=$work/eio.so EIO_WHEN=$work/damaged.eio EIO_UNDER=$work/damaged.data/ \
		node_start "$1" ;;
	poisoned) LD_PRELOAD=$work/poison.so node_start "$1" ;;
	*) node_start "$1" ;;
	esac
}

pending_traffic() {
	mkdir -p "$work/$1.traffic"
	python3 "$here/drills.py" traffic "$BROKER" "$work/$1.traffic" 10 healthy broken_1 \
		2>>"$work/$1.traffic.log" &
	e2e_pids[$1-traffic]=$!
}

pending_traffic_stop() {
	kill "${e2e_pids[$1-traffic]}" 2>/dev/null
	wait "${e2e_pids[$1-traffic]}" 2>/dev/null
	unset "e2e_pids[$1-traffic]"
}

# pending_watch SCENE PHASE SECONDS: in the background; what was said is in $work/SCENE.PHASE.
pending_watch() {
	python3 "$here/drills.py" watch "$work/$1.data/picket.sock" pending "$3" healthy broken_1 \
		>"$work/$1.$2" &
	e2e_pids[$1-watch]=$!
}

pending_said() { sed -n "s/^$3: //p" "$work/$1.$2"; }

# --- what breaks -------------------------------------------------------------------------------
# fault_SCENE breaks it, repair_SCENE mends it; torment_SCENE goes on beside the others meanwhile.

# Others join the group, read along and leave or die; a rule file is broken and read again; a hundred
# search at once.
torment_members() {
	local round
	for round in $(seq 100); do
		curl -s -m 20 --unix-socket "$work/members.data/picket.sock" -o /dev/null \
			'http://picket/v1/search?q=*' &
	done
	echo 'title: no rule at all' >"$work/members.rules/broken.yml"
	node members rules reload >"$work/members.reload" 2>&1
	rm "$work/members.rules/broken.yml"
	for round in TERM KILL TERM KILL TERM KILL; do
		timeout -s $round 4 kcat -b "$(pending_broker members)" -q \
			-X session.timeout.ms=6000 -G picket-test-members logs-drill >/dev/null 2>&1
	done 2>/dev/null # that one was killed is no news
}

# Partitions change their leader, fetches are refused, a broker goes and comes back.
torment_moves() {
	local round partition
	for round in 1 2 3 4 5 6; do
		for partition in 0 1 2 3; do
			mock_say moves-broker leader logs-drill $partition $(((partition + round) % 2 + 1))
		done
		mock_say moves-broker fail-fetches 5
		[ $round -eq 3 ] && mock_say moves-broker down 1
		[ $round -eq 4 ] && mock_say moves-broker up 1
		sleep 4
	done
}

fault_slow() { mock_say slow-broker rtt 1 25000; }
repair_slow() { mock_say slow-broker rtt 1 0; }

# One partition of four cannot be read.
fault_leaderless() { mock_say leaderless-broker leader logs-drill 0 -1; }
repair_leaderless() { mock_say leaderless-broker leader logs-drill 0 1; }

fault_damaged() { touch "$work/damaged.eio"; }
repair_damaged() {
	rm "$work/damaged.eio"
	node_alive damaged || pending_start damaged
}

# Retention takes what a daemon that stands still has not read.
torment_gone() {
	kill -STOP "${e2e_pids[gone]}"
	python3 -c 'import json
for _ in range(90): print(json.dumps(dict(topic="logs-drill", partition=3, value="x" * 100000)))' |
		produce "$(pending_broker gone)" 2>/dev/null
	sleep $((PENDING_FAULT - 15))
	kill -CONT "${e2e_pids[gone]}"
}

# The topic is made again, empty, while the daemon is down.
fault_again() {
	node_kill again
	pending_traffic_stop again
	mock_stop again-broker
	mock_start logs-drill:4 again-broker
	pending_config again
	pending_traffic again
	node_start again >/dev/null
}

# A record of the canary kills who reads it, again and again; somebody starts the daemon again.
fault_poisoned() {
	printf '%s\n' '{"topic":"logs-drill","partition":0,"value":"{\"message\":\"poison: crash\"}"}' |
		produce "$(pending_broker poisoned)" 2>/dev/null
	while wait_for 6 pending_is_dead poisoned; do pending_start poisoned >/dev/null; done 2>/dev/null
}

pending_is_dead() { ! node_alive "$1"; }

# The store loses epochs that it had said were safe: half of its log is cut off while nobody looks.
fault_rewound() {
	local file
	node rewound gate override --service healthy --canary v1 --reason 'it is written to the disk' \
		>/dev/null 2>&1
	node_kill rewound
	for file in "$work"/rewound.data/*.log; do truncate -s $(($(stat -c %s "$file") / 2)) "$file"; done
	node_start rewound >/dev/null
}

# No file can be opened any more, and no connection be taken.
fault_handles() { prlimit --pid "${e2e_pids[handles]}" --nofile=8:1024; }
repair_handles() {
	node_alive handles && node_kill handles
	pending_start handles
}

# --- the scenes --------------------------------------------------------------------------------

pending_prepare() {
	local one
	for one in eio poison; do
		cc -shared -fPIC -o "$work/$one.so" "$here/$one.c" -ldl ||
			{ fail "tests/e2e/$one.c compiles"; return 1; }
	done
	cat >"$work/pending.policy.yml" <<-YAML
	name: pending
	bake: 30s
	max_lag: 15s
	outcomes:
	    http_5xx: {p_abs: 0.05}
	    authn_failure: {p_abs: 0.05}
	    authz_denied: {p_abs: 0.05}
	YAML
	# Somebody to tell of alerts who takes the call and never says a word.
	python3 -c 'import socket, sys, time
listening = socket.create_server(("127.0.0.1", 0), backlog=100)
with open(sys.argv[1], "w") as file: file.write(str(listening.getsockname()[1]))
time.sleep(600)' "$work/hang.port" &
	e2e_pids[hang]=$!
	wait_for 5 [ -s "$work/hang.port" ]
}

# pending_phase PHASE SECONDS WHAT: in all scenes at once, WHAT_SCENE is done and the gate is watched.
pending_phase() {
	local scene
	for scene in "${scenes[@]}"; do
		pending_watch "$scene" "$1" "$2"
		if [ "$3" = fault ] && declare -F "torment_$scene" >/dev/null; then "torment_$scene" & fi
	done
	for scene in "${scenes[@]}"; do
		if declare -F "$3_$scene" >/dev/null; then "$3_$scene"; fi
	done
	for scene in "${scenes[@]}"; do
		wait "${e2e_pids[$scene-watch]}"
		unset "e2e_pids[$scene-watch]"
		sed "s/^/    $scene, $1: /" "$work/$scene.$1"
	done
}

part_pending() {
	section "a canary is pending, and the machinery breaks"
	local scene scenes
	read -ra scenes <<<"${E2E_SCENES:-${PENDING_SCENES[*]}}"
	pending_prepare || return
	for scene in "${scenes[@]}"; do pending_open "$scene"; done
	sleep 3
	for scene in "${scenes[@]}"; do touch "$work/$scene.traffic/fault"; done
	pending_phase fault $PENDING_FAULT fault
	pending_phase recovery $PENDING_RECOVERY repair
	for scene in "${scenes[@]}"; do pending_holds "$scene"; done
	for scene in "${scenes[@]}"; do
		pending_traffic_stop "$scene"
		node_kill "$scene"
		mock_stop "$scene-broker"
	done
}

# That the fault was one: what the log or an alert tells of it.
pending_proof() {
	local proof
	case $1 in
	members) proof='UNKNOWN_MEMBER_ID' ;; # to picket, which writes offsets into that group
	moves) proof='Disconnected' ;;
	slow) proof='_TIMED_OUT' ;;
	leaderless) proof='picket\.source_stalled' ;;
	damaged) proof='Input/output error' ;;
	gone) proof='picket\.data_gap' ;;
	again) proof='picket\.log_rewound' ;;
	poisoned) proof='picket\.crashed' ;;
	rewound) proof='picket\.store_rewound' ;;
	handles) proof='Too many open files' ;;
	esac
	assert_match "$1: the fault was real" "$proof" "$(cat "$work/$1.log"; node_alerts "$1")"
}

# What the gate said of a scene, and how it ended.
pending_holds() {
	local scene=$1 phase healthy=PASS broken=FAIL
	pending_proof "$scene"
	case $scene in
	gone | again | rewound) healthy=INCONCLUSIVE broken='FAIL|INCONCLUSIVE' ;;
	esac
	for phase in fault recovery; do
		assert_match "$scene, $phase: the failing canary never passes" '^- ' \
			"$(pending_said "$scene" $phase broken_1)"
	done
	assert_match "$scene: in the end it is $broken" "($broken)\$" "$(pending_said "$scene" recovery broken_1)"
	assert_match "$scene: the good one is $healthy" "$healthy\$" "$(pending_said "$scene" recovery healthy)"
	case $scene in
	members)
		assert_match "members: the broken rule was refused" 'broken\.yml:1:1' \
			"$(cat "$work/members.reload")" ;;
	gone | again | rewound)
		assert_match "$scene: the good one never passes either" '^- ' \
			"$(pending_said "$scene" recovery healthy)"
		assert_match "$scene: and it says why" "DOUBT: .*(read on where|newest epochs)" \
			"$(node "$scene" gate --service healthy --canary v2 --dry-run --policy pending 2>/dev/null)" ;;
	slow | leaderless | damaged | handles)
		assert_match "$scene: no PASS while picket is blind" '^- ' \
			"$(pending_said "$scene" fault healthy)" ;;
	esac
}
