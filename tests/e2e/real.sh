#!/usr/bin/env bash
# picket on a real Apache Kafka: what a mock can not show. Real logs, start positions, retention, a
# topic made again, transactions, TLS and SCRAM, a broker that stops, partitions that come, and
# fifty SIGKILLs under load; each time nothing may be lost, nothing doubled. A real OpenTelemetry
# Collector (collector.sh) is one of the producers, where it can be had.
#
#   tests/e2e/real.sh [SECTION...]      sections are the functions real_* below; without: all
#
# The broker comes through Maven (kafka.sh) or is the one at PICKET_KAFKA: then the sections that
# must stop it or need its secure listeners are skipped. PICKET_DATA holds the recorded logs.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70
. tests/e2e/lib.sh
. tests/e2e/kafka.sh
. tests/e2e/collector.sh

data=${PICKET_DATA:-$e2e_root/../shared/data}
tool=$e2e_root/tests/e2e/scenario.py
run=$$ # in every topic's name: the cluster may be somebody else's
topics=()
KILLS=${PICKET_KILLS:-50}

# The broker is among what the traps of lib.sh end.
broker_start() {
	kafka_start "$work/kafka" secure 2>"$work/fetch" && e2e_pids[kafka]=$(cat "$work/kafka/pid")
}

ask() { python3 "$tool" "$1" "$KAFKA" "${@:2}"; }

make_topic() {
	ask create "$@" || fail "topic $1 can be made"
	topics+=("$1")
}

e2e_cleanup_more() {
	[ -z "${PICKET_KAFKA:-}" ] || [ ${#topics[@]} -eq 0 ] || ask delete "${topics[@]}" 2>/dev/null
}

# The offset behind the last record, from the broker itself.
log_end() { kcat -Q -b "$KAFKA" -t "$1:$2:-1" 2>/dev/null | sed -n 's/.*offset \([0-9]*\).*/\1/p'; }

log_ends() { # TOPIC PARTITIONS: the sum
	local sum=0 i
	for ((i = 0; i < $2; i++)); do sum=$((sum + $(log_end "$1" "$i"))); done
	echo "$sum"
}

# Every offset of the log is in the store once.
whole_topic() { # NODE TOPIC PARTITIONS
	local i
	for ((i = 0; i < $3; i++)); do node_exactly_once "$1" "$2" "$i" "$(log_end "$2" "$i")"; done
}

kafka_yaml() { # SERVERS TOPICS START [FURTHER LINES]
	printf 'kafka:\n    bootstrap_servers: %s\n    topics: [%s]\n    start: %s\n' "$1" "$2" "$3"
	[ $# -lt 4 ] || sed 's/^/    /' <<<"$4"
}

alert_total() { # NODE RULE: how many alerts, how many events in them
	node "$1" alerts list --limit 10000 -o json | jq -r --arg rule "$2" \
		'[.alerts[] | select(.rule.name == $rule or .rule.title == $rule)] |
		"\(length) \(map(.count) | add // 0)"'
}

alert_reason() { # NODE RULE
	node "$1" alerts list --limit 10000 -o json |
		jq -r --arg rule "$2" '.alerts[] | select(.rule.name == $rule) | .reason'
}

# Rows that would be sent to somebody; only a stopped store can be asked.
outbox_rows() {
	ldb --db="$(node_data "$1")" --column_family=outbox --value_hex scan 2>/dev/null | grep -c ' : '
}

assert_outbox() { # TEXT NODE ROWS; the node is stopped
	if command -v ldb >/dev/null; then
		assert_equal "$1" "$3" "$(outbox_rows "$2")"
	else
		skip "$1: the outbox can not be read without ldb (Debian: rocksdb-tools)"
	fi
}

# --- recorded logs and attacks -----------------------------------------------------------------

write_cloud_rules() {
	mkdir -p "$work/rules"
	cat >"$work/rules/trail.yml" <<-RULE
	title: Trail stopped
	id: 5d1f2a52-53a2-4a2e-8f55-0f7a90a1c001
	logsource: {product: aws, service: cloudtrail}
	detection:
	    selection:
	        eventSource: cloudtrail.amazonaws.com
	        eventName: [StopLogging, DeleteTrail]
	    condition: selection
	level: high
	RULE
	cat >"$work/rules/secrets.yml" <<-RULE
	title: Secret read
	id: 5d1f2a52-53a2-4a2e-8f55-0f7a90a1c002
	name: secret_read
	logsource: {product: aws, service: cloudtrail}
	detection:
	    selection: {eventName: GetSecretValue}
	    condition: selection
	level: informational
	---
	title: Many secrets read
	id: 5d1f2a52-53a2-4a2e-8f55-0f7a90a1c003
	name: many_secrets
	correlation:
	    type: event_count
	    rules: [secret_read]
	    group-by: [userIdentity.arn]
	    timespan: 5m
	    condition: {gte: 15}
	level: high
	RULE
	cat >"$work/rules/exception.yml" <<-RULE
	title: Exception in a log line
	id: 5d1f2a52-53a2-4a2e-8f55-0f7a90a1c004
	name: exception_line
	logsource: {product: microservice}
	detection:
	    selection: {message|contains: exception}
	    condition: selection
	level: medium
	RULE
}

real_logs() {
	local archive=$data/nezha-trainticket/2023-01-30/nezha-trainticket-2023-01-30.tar.xz
	local nezha=nezha-$run cloud=cloud-$run count=0 exceptions=0
	section "recorded logs, as history"
	if [ ! -e "$archive" ] || [ ! -d "$data/stratus-cloudtrail" ]; then
		skip "recorded logs: $data (PICKET_DATA) is not there"
		return
	fi
	make_topic "$nezha" 3 retention.ms=-1
	make_topic "$cloud" 1 retention.ms=-1
	python3 "$tool" nezha "$archive" | kcat -P -b "$KAFKA" -t "$nezha" -K '\t'
	kcat -P -b "$KAFKA" -t "$cloud" "$data"/stratus-cloudtrail/aws.*.json
	read -r count exceptions <<<"$(python3 "$tool" nezha-truth "$archive")"
	write_cloud_rules
	node_config logs - - "$(kafka_yaml "$KAFKA" "$nezha, $cloud" earliest)
time: {trusted: true}
rules: {paths: [$work/rules]}"
	node_start logs || { fail "the daemon starts"; return; }
	local events
	events=$(cat "$data"/stratus-cloudtrail/aws.*.json | jq -s 'map(length) | add')
	node_wait_records logs 60 $((count + events))
	assert_equal "stored: $count container lines and $events CloudTrail events" \
		"$((count + events)) 0" "$(node_status logs '.records | "\(.stored) \(.quarantined)"')"
	assert_equal "the log is as long as the archive" "$count" "$(log_ends "$nezha" 3)"
	whole_topic logs "$nezha" 3
	assert_equal "every CloudTrail record is under its file's offset and its index" \
		"$(jq -r 'length' "$data"/stratus-cloudtrail/aws.*.json | awk '{print NR - 1, $1}')" \
		"$(node_stored logs "$cloud" 0 | awk '{n[$1]++} END {for (o in n) print o, n[o]}' | sort -n)"
	assert_equal "a rule on text saw every line that names an exception" "$exceptions" \
		"$(alert_total logs exception_line | cut -d' ' -f2)"
	assert_equal "the two stopped trails, as recorded" "2 2" "$(alert_total logs "Trail stopped")"
	assert_equal "twenty secrets in one alert" "1 20" "$(alert_total logs many_secrets)"
	assert_equal "all of it is marked as history" "0" "$(node logs alerts list --limit 10000 -o json |
		jq '[.alerts[] | select(.flags | index("backfill") | not)] | length')"
	node_stop logs
	assert_outbox "and none of it waits to be sent" logs 0
}

real_attacks() {
	local topic=svc-$run
	section "our own attacks, live, and broken records"
	make_topic "$topic" 2
	make_topic "quiet-$run" 1
	node_config svc - - "$(kafka_yaml "$KAFKA" "$topic, quiet-$run" latest)"
	node_start svc && node_wait svc 20 '.sources.partitions == 3' ||
		{ fail "the daemon reads both topics"; return; }
	python3 "$tool" attacks >"$work/attacks"
	kcat -P -b "$KAFKA" -t "$topic" -p 0 -l "$work/attacks"
	printf '{"a":' >"$work/truncated"
	printf '{"a":"\377\376"}' >"$work/latin"
	printf '\0\1\2\3\200\201' >"$work/binary"
	printf '[1,2]' >"$work/numbers"
	printf '{"message":"whole"}\n{"message":\n' >"$work/lines"
	kcat -P -b "$KAFKA" -t "$topic" -p 1 "$work"/{truncated,latin,binary,numbers,lines}
	printf 'key:\n' | kcat -P -b "$KAFKA" -t "$topic" -p 1 -K : -Z
	printf 'key:\n' | kcat -P -b "$KAFKA" -t "$topic" -p 1 -K :
	local good
	good=$(wc -l <"$work/attacks")
	node_wait_records svc 20 $((good + 8))
	assert_equal "every attack record is stored" "$(seq 0 $((good - 1)))" \
		"$(node_stored svc "$topic" 0 | cut -d' ' -f1 | sort -n)"
	assert_equal "of the broken ones the half that can be read is stored" "4 0" \
		"$(node_stored svc "$topic" 1)"
	node_quarantined svc | cut -d' ' -f3- >"$work/quarantined"
	assert_equal "the rest is quarantined with its reason" "0 0 not_json
1 0 not_utf8
2 0 binary
3 0 not_an_object
3 1 not_an_object
4 1 not_json
5 0 tombstone
6 0 empty" "$(cat "$work/quarantined")"
	node svc quarantine show "$topic/1/2/0" --raw >"$work/raw" 2>/dev/null
	assert_ok "the raw bytes come back as they were sent" cmp "$work/binary" "$work/raw"
	assert_equal "twelve failed logins of one user: one alert" "1 12" "$(alert_total svc brute_force_user)"
	assert_equal "twenty-five users from one address: one alert" "1 25" "$(alert_total svc brute_force_source)"
	assert_equal "the one read of foreign data that succeeded" "1 1" "$(alert_total svc cross_tenant_access)"
	assert_equal "no other alert" 3 "$(node_alerts svc | wc -l)"
	real_idle
	node_stop svc
	assert_equal "a graceful stop is one" 0 "$STOP_CODE"
	real_doctor "$topic" $((good + 1))
}

real_doctor() { # TOPIC EVENTS
	assert_exit "the doctor reads the topic to its end, and tells that it could not read all" 2 \
		"$picket" doctor --topic "$1" -c "$work/svc.yaml" -o ndjson
	assert_match "how much" '8 records could not be read' "$(cat "$work/err")"
	assert_equal "every event is in its report" "$2" "$(jq -s 'map(.events) | add' "$work/out")"
}

# Topics that are silent: time goes on by proof, and what was open closes.
real_idle() {
	local first second
	node_wait svc 20 '.watermark != null' && sleep 4
	first=$(node_status svc .watermark)
	sleep 3
	second=$(node_status svc .watermark)
	assert_equal "on silent topics the watermark goes on" yes "$([[ $second > $first ]] && echo yes)"
	local now
	now=$(node_status svc '(.now[:19] + "Z" | fromdate) - (.watermark[:19] + "Z" | fromdate) < 20')
	assert_equal "and stays within seconds of the clock" true "$now"
	assert_equal "so that the attacks' windows have closed" 2 "$(node svc alerts list -o json --limit 99 |
		jq '[.alerts[] | select((.rule.name | startswith("brute")) and .state == "ended")] | length')"
	assert_equal "no partition is called stalled" 0 "$(node_status svc .sources.stalled)"
}

# --- positions ---------------------------------------------------------------------------------

breach() { # USER: a record that raises an alert of its own
	printf '{"service.name":"s","user.id":"%s","tenant.id":"a","target.tenant.id":"b","http.response.status_code":200,"event.outcome":"success"}\n' "$1"
}

real_starts() {
	local topic=start-$run start
	section "where a first start begins"
	make_topic "$topic" 1 retention.ms=-1
	{
		for i in 1 2 3; do echo "864000 $(breach "old$i")"; done
		for i in 1 2 3 4; do echo "3600 $(breach "recent$i")"; done
	} | ask aged "$topic" 0
	for start in latest earliest 7d; do
		node_config "$start" - - "$(kafka_yaml "$KAFKA" "$topic" "${start/7d/-7d}")"
		node_start "$start" || fail "it starts with start: $start"
	done
	for start in latest earliest 7d; do node_wait "$start" 20 '.sources.partitions == 1 and .sources.lag == 0'; done
	for i in 1 2; do breach "live$i"; done | kcat -P -b "$KAFKA" -t "$topic" -p 0
	for start in "latest 2 2" "earliest 9 2" "7d 6 2"; do
		read -r start stored live <<<"$start"
		node_wait_records "$start" 15 "$stored" >/dev/null
		assert_equal "start: $start reads the last $stored of 9 records" \
			"$(seq $((9 - stored)) 8)" "$(node_stored "$start" "$topic" 0 | cut -d' ' -f1 | sort -n)"
		assert_equal "start: $start marks alerts on history, and only them" \
			"$((stored - live)) $live" "$(node "$start" alerts list -o json --limit 99 | jq -r \
			'.alerts | map(.flags | index("backfill") != null) | "\(map(select(.)) | length) \(map(select(not)) | length)"')"
		node_stop "$start"
		assert_outbox "start: $start would send the live ones" "$start" "$live"
	done
	real_gap "$topic"
	real_rewound "$topic"
}

real_gap() { # the node "earliest" stands at 9
	local topic=$1
	section "retention passes us"
	for i in $(seq 10); do breach "gap$i"; done | kcat -P -b "$KAFKA" -t "$topic" -p 0
	ask truncate "$topic" 0 13
	node_start earliest && node_wait_records earliest 15 15 >/dev/null
	assert_equal "what is left is stored" "$(seq 0 8; seq 13 18)" \
		"$(node_stored earliest "$topic" 0 | cut -d' ' -f1 | sort -n)"
	assert_equal "the loss is counted" 4 "$(node_status earliest .records.lost_to_retention)"
	assert_match "and told with its exact range" "^$topic/0: offsets 9 to 12 were deleted by retention" \
		"$(alert_reason earliest picket.data_gap)"
	assert_match "status names it" "4 offsets were lost to retention" "$(node earliest status)"
	assert_equal "and when, which the gate asks for" true \
		"$(node earliest sources list -o json | jq '.sources[0].jumped_at != null')"
	node_stop earliest
}

real_rewound() {
	local topic=$1
	section "a topic is deleted and made again"
	ask delete "$topic"
	for _ in $(seq 40); do
		kcat -L -b "$KAFKA" -J 2>/dev/null | jq -e --arg t "$topic" \
			'[.topics[].topic] | index($t) == null' >/dev/null && break
		sleep 0.25
	done
	ask create "$topic" 1
	for i in 1 2 3; do breach "again$i"; done | kcat -P -b "$KAFKA" -t "$topic" -p 0
	node_start earliest && node_wait_records earliest 15 18 >/dev/null
	assert_match "the shorter log is told" "^$topic/0: the log ends before offset 19, .* goes on at 0" \
		"$(alert_reason earliest picket.log_rewound)"
	assert_equal "its three records are read" "18 3" \
		"$(node_status earliest .records.consumed) $(node earliest sources list -o json | jq '.sources[0].next_offset')"
	assert_equal "the old log's events are all still there" "$(node_status earliest .records.stored)" \
		"$(node earliest events list -o ndjson --limit 1000 | wc -l)"
	assert_equal "and seen by the rules" 3 "$(node earliest alerts list -o json --limit 99 |
		jq '[.alerts[] | select(.group["user.id"] // "" | startswith("again"))] | length')"
	node_stop earliest
}

real_transactions() {
	local topic=tx-$run
	section "transactions"
	make_topic "$topic" 1
	node_config tx - - "$(kafka_yaml "$KAFKA" "$topic" earliest)"
	node_start tx || fail "the daemon starts"
	printf 'commit\t{"n":0}\t{"n":1}\nabort\t{"n":"aborted"}\t{"n":"aborted"}\ncommit\t{"n":6}\nabort\t{"n":"aborted"}\n' |
		ask transactions "$topic" 2>"$work/tx.err" || fail "transactions can be made" "$(cat "$work/tx.err")"
	node_wait_records tx 15 3 >/dev/null
	assert_equal "only committed records are stored" "0 0
1 0
6 0" "$(node_stored tx "$topic" 0)"
	assert_equal "nothing of an aborted one" 0 \
		"$(node tx events list --topic "$topic" -o ndjson | grep -c aborted)"
	for _ in $(seq 100); do
		[ "$(node tx sources list -o json | jq '.sources[0].next_offset')" -ge 10 ] && break
		sleep 0.1
	done
	assert_equal "the position is behind the last marker, the holes are counted" "10 7 0" \
		"$(node tx sources list -o json | jq -r '.sources[0] | "\(.next_offset) \(.holes) \(.lag)"')"
	assert_equal "a hole is no loss" 0 "$(node_status tx .records.lost_to_retention)"
	real_open_transaction "$topic"
	node_stop tx
}

# What is not decided yet is neither read nor passed by.
real_open_transaction() {
	local topic=$1
	printf 'open\t{"n":10}\n' | ask transactions "$topic" 2>/dev/null
	sleep 2
	assert_equal "a transaction that is still open is not read" 3 "$(node_status tx .records.consumed)"
	local first
	first=$(node_status tx .watermark)
	sleep 3
	assert_equal "and holds the watermark: nobody knows what it brings" "$first" "$(node_status tx .watermark)"
}

real_security() {
	local topic=secure-$run tls=$work/kafka/tls
	section "TLS, client certificates, SCRAM"
	[ -n "${KAFKA_SASL:-}" ] || { skip "secure listeners: the broker at PICKET_KAFKA is not ours"; return; }
	make_topic "$topic" 1
	seq 5 | sed 's/.*/{"n":&}/' | kcat -P -b "$KAFKA" -t "$topic" -p 0
	echo wrong >"$work/wrong"
	local scram="librdkafka:
    security.protocol: SASL_SSL
    sasl.mechanisms: SCRAM-SHA-256
    sasl.username: picket
    ssl.ca.location: $tls/ca.pem
    sasl.password_file:"
	local mtls="librdkafka:
    security.protocol: SSL
    ssl.ca.location: $tls/ca.pem
    ssl.certificate.location: $tls/client.pem
    ssl.key.location: $tls/client.key"
	node_config scram - - "$(kafka_yaml "$KAFKA_SASL" "$topic" earliest "$scram $tls/secret")"
	node_config mtls - - "$(kafka_yaml "$KAFKA_MTLS" "$topic" earliest "$mtls")"
	node_config wrong - - "$(kafka_yaml "$KAFKA_SASL" "$topic" earliest "$scram $work/wrong")"
	node_config alien - - "$(kafka_yaml "$KAFKA_MTLS" "$topic" earliest "$(grep -v 'certificate\|key' <<<"$mtls")")"
	node_config unknown - - "$(kafka_yaml "$KAFKA_MTLS" "$topic" earliest "$(grep -v 'ca.location' <<<"$mtls")")"
	for one in scram mtls wrong alien unknown; do node_start $one || fail "$one starts"; done
	for one in scram mtls; do
		node_wait_records $one 15 5 >/dev/null
		assert_equal "$one reads" "$(seq 0 4)" "$(node_stored $one "$topic" 0 | cut -d' ' -f1)"
	done
	# Not only that all brokers are down: that may be said before its cause is.
	node_wait wrong 15 '.problems | any(test("sasl.password"))'
	node_wait alien 15 '.problems | any(test("client certificate"))'
	node_wait unknown 15 '.problems | any(test("certificate verify failed"))'
	assert_match "a wrong password is told, with what to look at" "uthentication.*check sasl.username, sasl.password" "$(node wrong status)"
	assert_match "a missing client certificate is told" "its listener wants .* the client certificate" "$(node alien status)"
	assert_match "a broker we can not trust is told" "certificate verify failed.*check ssl.ca.location" "$(node unknown status)"
	assert_equal "and none of the three has read anything" "0 0 0" \
		"$(for one in wrong alien unknown; do node_status $one .records.consumed; done | paste -sd' ')"
	assert_equal "the password is in no status, log or answer" 0 \
		"$(cat "$work"/*.log <(node scram status -o json) | grep -c "$(cat "$tls/secret")")"
	for one in scram mtls wrong alien unknown; do node_stop $one; done
}

# --- outages -----------------------------------------------------------------------------------

# A fleet with a canary that has proved itself: what does the gate say when the broker goes?
fleet_start() {
	[ -z "${PICKET_KAFKA:-}" ] || return 0
	local one
	for one in $("$e2e_build/picket-fleet" --print-topics | tr ',' ' '); do
		make_topic "${one%:*}" "${one#*:}"
	done
	node_config fleet - - "$(kafka_yaml "$KAFKA" "'^logs-'" latest "stalled_after: 3s")"
	node_start fleet && node_wait fleet 30 '.sources.partitions > 5' || fail "the fleet's daemon starts"
	"$e2e_build/picket-fleet" --bootstrap "$KAFKA" --start-ago 7m --duration 45s \
		--report "$work/fleet.json" --quiet 2>"$work/fleet.err" &
	e2e_pids[player]=$!
}

gate() { # of the healthy canary
	# shellcheck disable=SC2046
	node fleet gate $(jq -r '[.canaries[] | select(.verdict == "PASS")][0] |
		"--service \(.service) --canary \(.canary) --baseline \(.baseline)"' "$work/fleet.json") "$@"
}

load_start() {
	make_topic "load-$run" 4
	node_config load - - "$(kafka_yaml "$KAFKA" "load-$run" earliest "stalled_after: 3s
group_id: load-$run")
lateness: 60s
checkpoint: 1s"
	node_start load || fail "the daemon starts"
	python3 "$tool" load 400 "$work/load.stop" "$work/load.truth" 2>"$work/load.err" |
		kcat -P -E -b "$KAFKA" -t "load-$run" -K '\t' -X enable.idempotence=true \
			-X topic.metadata.refresh.interval.ms=1000 2>"$work/load.kcat" &
	e2e_pids[producer]=$!
	node_wait_records load 20 400 >/dev/null || fail "the load is being read"
}

real_outage() {
	section "the broker stops and comes back while records are being sent"
	[ -z "${PICKET_KAFKA:-}" ] || { skip "broker outage: the broker at PICKET_KAFKA is not ours"; return; }
	local before first
	for _ in $(seq 100); do [ -s "$work/fleet.json" ] && break; sleep 0.5; done
	assert_exit "before: the healthy canary passes" 0 gate --wait 30s
	before=$(node_status load .records.stored)
	kafka_stop "$work/kafka"
	node_wait load 15 '.sources.stalled == 4'
	assert_equal "the daemon lives" yes "$(node_alive load && echo yes)"
	assert_equal "status: every partition is stalled" "4" "$(node_status load .sources.stalled)"
	assert_match "status: what is wrong and what to look at" "check that the broker runs" "$(node load status)"
	node_wait fleet 15 '.sources.stalled > 0'
	assert_exit "the gate does not pass a canary it can not see any more" 4 gate
	first=$(node_status load .watermark)
	sleep 3
	assert_equal "no proof, no ticks: the watermark stands still" "$first" "$(node_status load .watermark)"
	assert_exit "and the gate still does not" 4 gate
	broker_start || fail "the broker starts again" "$(cat "$work/fetch")"
	node_wait_records load 40 $((before + 4000)) || fail "reading goes on by itself"
	assert_equal "nobody is stalled any more" true "$(node_wait load 20 '.sources.stalled == 0' && echo true)"
	# The fleet is played in real time now: its canary has new proof soon.
	assert_exit "the canary passes again" 0 gate --wait 30s
	kill -TERM "${e2e_pids[player]}" && wait "${e2e_pids[player]}"
	unset 'e2e_pids[player]'
	node_wait_caught_up fleet 20
	local topic count
	for topic in $("$e2e_build/picket-fleet" --print-topics | tr ',' ' '); do
		count=${topic#*:}
		whole_topic fleet "${topic%:*}" "$count"
	done | grep -v ' ok ' >"$work/fleet.whole"
	assert_equal "of the fleet's records none is lost or doubled" "" "$(cat "$work/fleet.whole")"
	node_stop fleet
}

new_partitions_read() {
	[ "$(node load sources list -o json |
		jq '[.sources[] | select(.partition >= 4 and .stored >= 3)] | length')" = 2 ]
}

real_partitions() {
	local start
	section "partitions are added while it runs"
	ask grow "load-$run" 6
	start=${EPOCHREALTIME/./}
	for i in 4 5; do
		seq 3 | sed "s/.*/{\"message\":\"first of $i\"}/" | kcat -P -b "$KAFKA" -t "load-$run" -p $i
	done
	# Ten seconds at most on a machine that is not busy: librdkafka asks for partitions so often.
	assert_ok "they are seen" node_wait load 60 '.sources.partitions == 6'
	assert_ok "and read" wait_for 60 new_partitions_read
	echo "        after $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
	assert_equal "from their beginning" "0 0" \
		"$(node_stored load "load-$run" 4 | head -1)"
}

real_kills() {
	local i died=0
	section "$KILLS times SIGKILL at random moments under load"
	node_kill load
	for ((i = 0; i < KILLS; i++)); do
		node_launch load
		sleep "$((RANDOM % 2)).$((RANDOM % 8))$((RANDOM % 10))"
		node_alive load || { died=$((died + 1)); tail -n 2 "$work/load.log"; }
		node_kill load
	done
	assert_equal "it never ended by itself" 0 $died
	touch "$work/load.stop"
	wait "${e2e_pids[producer]}"
	unset 'e2e_pids[producer]'
	node_start load || fail "it starts after the last one"
	node_wait load 20 '.sources.partitions == 6' && node_wait_caught_up load 60 || fail "it catches up"
	assert_equal "consumed = the log's records" "$(log_ends "load-$run" 6) 0" \
		"$(node_status load '.records | "\(.stored) \(.quarantined)"')"
	whole_topic load "load-$run" 6
	real_uninterrupted
	node_stop load
}

real_uninterrupted() {
	section "a second daemon reads the same log without interruption"
	node_config again - - "$(kafka_yaml "$KAFKA" "load-$run" earliest)
lateness: 60s"
	node_start again || fail "it starts"
	node_wait_records again 60 "$(log_ends "load-$run" 6)" >/dev/null
	whole_topic again "load-$run" 6
	assert_equal "every attack of the load is one alert with every try" "$(sort "$work/load.truth")" \
		"$(node again alerts list --limit 10000 -o json | jq -r \
			'.alerts[] | select(.rule.name == "brute_force_user") | "\(.group["user.id"]) \(.count)"' | sort)"
	assert_equal "the alerts after $KILLS kills are those of the daemon that was never killed" \
		"$(node_alerts again)" "$(node_alerts load | grep -v '^picket\.')"
	node_stop again
}

main() {
	local one
	if [ -n "${PICKET_KAFKA:-}" ]; then
		KAFKA=$PICKET_KAFKA
		kcat -L -b "$KAFKA" -m 10 >/dev/null 2>&1 ||
			{ echo "PICKET_KAFKA=$KAFKA does not answer"; exit 69; }
	elif ! kafka_fetch 2>"$work/fetch"; then
		skip "no real Apache Kafka: $(head -n 1 "$work/fetch"); PICKET_KAFKA=host:port names one"
		e2e_finish
	else
		section "Apache Kafka $KAFKA_VERSION starts"
		broker_start || { fail "Apache Kafka starts" "$(cat "$work/fetch")"; e2e_finish; }
	fi
	if [ $# -gt 0 ]; then
		for one; do "$one"; done
	else
		fleet_start
		real_logs
		real_attacks
		real_collector
		real_starts
		real_transactions
		real_security
		load_start
		real_outage
		real_partitions
		real_kills
	fi
	e2e_finish
}

e2e_begin real
main "$@"
