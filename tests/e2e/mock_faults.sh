# shellcheck shell=bash
# Things that go wrong around picket: each has a message that tells the next step, and an exit code.
# Sourced by tests/e2e/mock.sh.

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# refused TEXT CODE REGEX NODE [YAML]: `picket run` ends with CODE and says REGEX.
refused() {
	local text=$1 code=$2 regex=$3 node=$4
	[ -f "$work/$node.yaml" ] || node_config "$node" 127.0.0.1:1 logs "${5:-}"
	assert_exit "$text: exit code $code" "$code" timeout 20 "$picket" run -c "$work/$node.yaml"
	assert_match "$text: the message" "$regex" "$(cat "$work/err")"
}

part_faults() {
	section "faults"
	refused "a data folder that cannot be made" 70 \
		'data_dir /proc/picket cannot be made.*set data_dir' nowhere 'data_dir: /proc/picket'
	refused "an unknown config key" 65 \
		'unknown\.yaml:[0-9]+:1: unknown key "latenes"; did you mean "lateness"' unknown 'latenes: 5s'
	refused "a forbidden librdkafka property" 65 'enable.auto.commit' property \
		$'kafka:\n    bootstrap_servers: 127.0.0.1:1\n    topics: [logs]\n    librdkafka: {enable.auto.commit: "true"}'
	refused "an open address without a token" 65 \
		"open\\.yaml:[0-9]+:[0-9]+: api\\.listen .*token_file" open $'api:\n    listen: "0.0.0.0:9470"'
	mkdir -p "$work/typo"
	sed 's/tenant.id|exists: true/tenant.id|exsts: true/' \
		"$e2e_root/rules/packs/tenant/cross_tenant_access.yml" >"$work/typo/rule.yml"
	refused "a rule with a typo" 65 \
		"typo/rule\\.yml:[0-9]+:[0-9]+: .*'exsts'.*did you mean 'exists'" typo \
		"rules: {paths: [$work/typo]}"
	assert_exit "rules lint: exit code 65" 65 "$picket" rules lint "$work/typo"
	assert_match "rules lint: file, line and column" 'rule\.yml:[0-9]+:[0-9]+: ' \
		"$(cat "$work/out" "$work/err")"
	fault_skipped_rule
	fault_broker
	fault_topic
	fault_groups
}

fault_skipped_rule() {
	cp -r "$e2e_root/rules/packs/auth" "$work/typo/"
	node_config skipping 127.0.0.1:1 logs "rules: {paths: [$work/typo], on_refused: skip}"
	assert_ok "on_refused: skip starts without the rule" node_start skipping
	assert_equal "and the status counts it" 1 "$(node_status skipping .rules.skipped)"
	node_stop skipping
}

# No broker: the daemon stays, says so everywhere, and never says PASS.
fault_broker() {
	local port token
	port=$(free_port)
	node_config lonely 127.0.0.1:1 logs "api: {listen: '127.0.0.1:$port'}"
	assert_ok "a broker that does not answer: the daemon starts" node_start lonely
	assert_ok "the status tells which broker, and what to check" node_wait lonely 20 \
		'.problems | any(contains("127.0.0.1:1") and contains("bootstrap_servers"))'
	assert_equal "/readyz is not ready" 503 \
		"$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/readyz")"
	assert_equal "/livez is alive" 200 \
		"$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/livez")"
	node lonely gate --service a --canary 2 --baseline 1 >"$work/out"
	assert_match "the gate never says PASS" '^[345]$' $?
	assert_match "nor anything that could be read as one" '^(WAIT|STALE)' "$(cat "$work/out")"
	"$picket" gate --service a --canary 2 --server "unix:$work/nothing.sock" >"$work/out" 2>&1
	assert_equal "the gate without a daemon is UNAVAILABLE" 5 $?
	refused "a data folder that a daemon uses" 69 "lonely\\.data.*lonely\\.data/picket\\.sock" lonely
	assert_exit "status without a daemon: exit code 69" 69 \
		"$picket" status --server "unix:$work/nothing.sock"
	refused "a port that is taken" 69 "port $port .*taken.*api\\.listen" taken \
		"api: {listen: '127.0.0.1:$port'}"
	assert_ok "the daemon still lives" node_alive lonely
	token=$work/token
	head -c 24 /dev/urandom | base64 >"$token"
	fault_token "$token"
	node_stop lonely
	assert_equal "it stops by itself although the broker is away" 0 "$STOP_CODE"
}

fault_token() {
	local port
	port=$(free_port)
	node_config guarded 127.0.0.1:1 logs "api: {listen: '0.0.0.0:$port', token_file: $1}"
	assert_ok "an open address with a token starts" node_start guarded
	assert_equal "no token: 401" 401 \
		"$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/v1/status")"
	assert_equal "a wrong token: 401" 401 "$(curl -s -o /dev/null -w '%{http_code}' \
		-H 'Authorization: Bearer no' "http://127.0.0.1:$port/v1/status")"
	assert_equal "the token: 200" 200 "$(curl -s -o /dev/null -w '%{http_code}' \
		-H "Authorization: Bearer $(cat "$1")" "http://127.0.0.1:$port/v1/status")"
	assert_equal "its role is gate-read: no raw records" 403 "$(curl -s -o /dev/null -w '%{http_code}' \
		-H "Authorization: Bearer $(cat "$1")" "http://127.0.0.1:$port/v1/quarantine")"
	node_stop guarded
}

# A topic that is not there yet is read from its beginning as soon as it is.
fault_topic() {
	mock_start other:1
	node_config early "$BROKER" unborn 'workers: 3'
	assert_ok "a topic that does not exist: the daemon starts" node_start early
	assert_ok "the status names the topic and the next step" node_wait early 15 \
		'.problems | any(test("topic.*unborn.*does not exist.*kafka.topics"))'
	assert_equal "it goes on waiting" running "$(node_status early .state)"
	seq 0 7 | jq -c '{topic: "unborn", partition: (. % 4), value: "{\"event.sequence\": \(.)}"}' |
		produce "$BROKER" 2>/dev/null
	assert_ok "what is sent to it later is read" node_wait_records early 25 8
	for partition in 0 1 2 3; do node_exactly_once early unborn $partition 2; done
	node_stop early
	mock_stop
}

# The groups that a rule remembers, as /metrics says it of the last checkpoint.
fault_groups_counted() {
	groups=$(curl -s --unix-socket "$work/crowded.data/picket.sock" http://picket/metrics |
		awk '/^picket_rule_groups.rule="7d1d1f5e-/ {print $2}')
	[ "${groups:-0}" -gt 0 ]
}

# More users than a rule may remember of one tenant: somebody hears of it, and every one is counted.
fault_groups() {
	local groups users=600
	mkdir -p "$work/crowded-rules"
	reload_rule 5 >"$work/crowded-rules/rules.yml"
	mock_start logs-crowded:1
	node_config crowded "$BROKER" logs-crowded "rules: {paths: [$work/crowded-rules]}
correlation: {groups_max: 256}
checkpoint: 1s"
	assert_ok "a rule with a limit of groups: the daemon starts" node_start crowded
	seq $users | jq -c --arg now "$(date -u +%FT%TZ)" '{topic: "logs-crowded", partition: 0,
		value: ({"@timestamp": $now, "event.outcome": "failure", "tenant.id": "acme",
			"user.id": "user-\(.)"} | tojson)}' | produce "$BROKER" 2>/dev/null
	assert_ok "more users than it may remember" node_wait_records crowded 20 $users
	assert_ok "the alert rule.groups is raised" node_wait crowded 20 '.alerts.total > 0'
	assert_equal "once, of that rule and tenant" "rule.groups high 7d1d1f5e acme" \
		"$(node crowded alerts list --state all -o json | jq -r '.alerts[] |
			"\(.rule.id) \(.rule.level) \(.reason | capture("rule (?<rule>[^-]*).* of tenant " +
			"(?<tenant>[^:]*):") | "\(.rule) \(.tenant)")"')"
	assert_ok "a checkpoint says how many it remembers" wait_for 20 fault_groups_counted
	assert_match "no more than the limit" true \
		"$([ "$groups" -le 256 ] && echo true || echo "$groups")"
	assert_equal "remembered + refused = users" $users \
		$((groups + $(curl -s --unix-socket "$work/crowded.data/picket.sock" \
			http://picket/metrics | awk '$1 == "picket_correlation_cells_refused_total" {print $2}')))
	node_stop crowded
	mock_stop
}

# A full disk stops the writing; room starts it again; nothing is lost or doubled.
part_disk() {
	section "a full disk"
	local disk=$work/disk records=16000
	mkdir -p "$disk"
	if ! mount -t tmpfs -o size=96m picket-e2e "$disk" 2>/dev/null; then
		skip "a full disk: mounting a tmpfs is not permitted here"
		return
	fi
	mock_start "$KILL_PARTITIONS"
	node_config full "$BROKER" "'^logs-'" "data_dir: $disk/data"$'\nmemory: 16MiB
lateness: 15m' # a tick between the two parts, while the disk is filled, must not make the second late
	assert_ok "the daemon starts" node_start full
	python3 "$e2e_root/tests/e2e/load.py" --count $records --partitions $KILL_PARTITIONS \
		--noise 600 --expect "$work/disk.json" >"$work/disk.ndjson"
	head -n $((records / 4)) "$work/disk.ndjson" | produce "$BROKER" 2>/dev/null
	assert_ok "a first part is stored" node_wait_records full 20 $((records / 4))
	dd if=/dev/zero of="$disk/ballast" bs=64k 2>/dev/null
	tail -n +$((records / 4 + 1)) "$work/disk.ndjson" | produce "$BROKER" --rate 4000 2>/dev/null
	assert_ok "the status says disk_full" node_wait full 20 .disk_full
	assert_match "and in words" 'disk is full' "$(node_status full '.problems[]')"
	assert_match "the gate cannot say PASS, and says why" '^(STALE|UNAVAILABLE):.*disk .*full' \
		"$(node full gate --service orders --canary 2 --baseline 1 2>/dev/null | tr '\n' ' ')"
	assert_equal "the metric too" 1 "$(curl -s --unix-socket "$disk/data/picket.sock" \
		http://picket/metrics | awk '$1 == "picket_disk_full" {print $2}')"
	sleep 1
	assert_ok "the daemon lives" node_alive full
	rm "$disk/ballast"
	assert_ok "with room, everything that was sent is stored" node_wait_records full 40 $records
	assert_ok "and the status is calm again" node_wait full 10 '.disk_full | not'
	holds_the_load full "$work/disk.json"
	dd if=/dev/zero of="$disk/ballast" bs=64k 2>/dev/null
	node_kill full
	refused "a start on a full disk" 70 "disk of data_dir .* is full.*make space" full
	rm "$disk/ballast"
	assert_ok "with room, it starts again" node_start full
	assert_ok "with everything" node_wait_records full 20 $records
	holds_the_load full "$work/disk.json"
	node_stop full
	assert_equal "it stops as always" 0 "$STOP_CODE"
	mock_stop
	umount "$disk"
}

e2e_cleanup_more() { umount "$work/disk" 2>/dev/null; }

# sum_of METRIC < exposition
sum_of() { awk -v name="picket_$1{" 'index($1, name) == 1 {sum += $2} END {print sum + 0}'; }

part_api() {
	section "metrics, health and a graceful stop under load"
	local port metrics over_tcp consumed load_pid
	port=$(free_port)
	mock_start $KILL_PARTITIONS
	node_config busy "$BROKER" "'^logs-'" "api: {listen: '127.0.0.1:$port'}"
	assert_ok "the daemon starts" node_start busy
	python3 "$e2e_root/tests/e2e/load.py" --count 40000 --partitions $KILL_PARTITIONS \
		--expect "$work/busy.json" >"$work/busy.ndjson"
	produce "$BROKER" --rate 8000 <"$work/busy.ndjson" 2>"$work/busy.produced" &
	load_pid=$!
	assert_ok "records come in" node_wait_records busy 15 8000
	metrics=$(curl -s --unix-socket "$work/busy.data/picket.sock" http://picket/metrics)
	consumed=$(sum_of records_consumed_total <<<"$metrics")
	assert_equal "consumed = stored + quarantined, over the socket, under load" "$consumed" \
		$(($(sum_of records_stored_total <<<"$metrics") + \
			$(sum_of records_quarantined_total <<<"$metrics")))
	over_tcp=$(curl -s "http://127.0.0.1:$port/metrics")
	consumed=$(sum_of records_consumed_total <<<"$over_tcp")
	assert_equal "consumed = stored + quarantined, over TCP, under load" "$consumed" \
		$(($(sum_of records_stored_total <<<"$over_tcp") + \
			$(sum_of records_quarantined_total <<<"$over_tcp")))
	assert_equal "/readyz is ready" 200 \
		"$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/readyz")"
	node_stop busy
	assert_equal "SIGTERM under load: exit code 0" 0 "$STOP_CODE"
	assert_match "within 5 s" true "$([ "$STOP_MS" -lt 5000 ] && echo true || echo "$STOP_MS ms")"
	assert_match "it says so" 'message=stopped' "$(tail -n 1 "$work/busy.log")"
	wait $load_pid
	assert_ok "it starts again" node_start busy
	assert_ok "and reads the rest" node_wait_records busy 30 40000
	holds_the_load busy "$work/busy.json"
	node_stop busy
	mock_stop
}
