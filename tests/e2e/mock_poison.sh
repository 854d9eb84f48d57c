# shellcheck shell=bash
# Messages that kill the daemon, or hold it for ever: after two crashes (four kills) each is in the
# quarantine and all others are stored; after two more if even putting it there kills, or if it is not the
# worker that dies, but who works on the epoch. Sourced by tests/e2e/mock.sh.

POISON_RECORDS=3000
POISON_EPOCH_RECORDS=600

# poison_load: partition 0 holds two messages whose values crash, partition 1 one whose bytes do, too,
# when the secrets are taken out of them for the quarantine.
poison_load() {
	seq 0 $((POISON_RECORDS * 2 - 1)) | jq -c '(. % 2) as $partition | ((. - $partition) / 2) as $offset
		| {topic: "logs-poison", partition: $partition, value: ({"event.sequence": .,
			message: (if [$partition, $offset] | IN([0, 7], [0, 1500]) then "poison: value"
				elif [$partition, $offset] == [1, 7] then "poison: crash" else "fine" end)} | tojson)}'
}

# What a supervisor does: starts it until it stays. Sets DEATHS.
poison_supervise() {
	local node=$1 records=$2 most=$3
	DEATHS=0
	while [ $DEATHS -le "$most" ]; do
		LD_PRELOAD=$work/poison.so node_launch "$node"
		until [ "$(node_status "$node" ".records.stored + .records.quarantined >= $records")" = true ]; do
			node_alive "$node" || break
			sleep 0.1
		done
		node_alive "$node" && return 0
		wait "${e2e_pids[$node]}" 2>/dev/null
		assert_equal "it died of SIGSEGV" 139 $?
		DEATHS=$((DEATHS + 1))
	done
	return 1
}

part_poison() {
	section "messages that kill"
	local reasons
	if ! cc -shared -fPIC -o "$work/poison.so" "$e2e_root/tests/e2e/poison.c" -ldl; then
		fail "tests/e2e/poison.c compiles"
		return
	fi
	mock_start logs-poison:2,logs-epoch:2
	poison_load | produce "$BROKER" 2>/dev/null
	node_config poisoned "$BROKER" "'^logs-poison'" 'workers: 2'
	poison_supervise poisoned $((POISON_RECORDS * 2)) 10
	assert_ok "in the end it stays, with everything" node_alive poisoned
	assert_match "after 2, 2 and 4 deaths, or fewer where one was in hand as another killed" '^[4-8]$' "$DEATHS"
	assert_match "the status tells in words" 'quarantine unread, because picket died' \
		"$(node_status poisoned '.problems[]')"
	assert_match "the log told of its care" 'reads carefully.*logs-poison/[01]/' "$(cat "$work/poisoned.log")"
	assert_match "the metric counts them" '^picket_records_crashed_total [1-3]$' \
		"$(curl -s --unix-socket "$work/poisoned.data/picket.sock" http://picket/metrics)"
	for partition in 0 1; do node_exactly_once poisoned logs-poison $partition $POISON_RECORDS; done
	reasons=$(node_quarantined poisoned logs-poison | awk '{print $2, $3, $5}' | sort -n -k1,1 -k2,2 | tr '\n' ';')
	assert_equal "these and no others are in the quarantine" \
		"0 7 crashed;0 1500 crashed;1 7 crashed;" "$reasons"
	assert_equal "with the bytes" '{"event.sequence":14,"message":"poison: value"}' \
		"$(node poisoned quarantine show logs-poison/0/7/0 --raw)"
	assert_match "or the reason why not" 'in hand [45] times.*without its bytes' \
		"$(node poisoned quarantine show logs-poison/1/7/0 -o json)"
	assert_match "and as alerts" '^picket\.crashed' "$(node_alerts poisoned)"
	node_stop poisoned
	assert_equal "it stops as always" 0 "$STOP_CODE"
	poison_hang
	poison_epoch
	mock_stop
}

# Two messages that no worker dies of: one kills the shard that opens its alert, one the committer,
# which dies of its bytes in the quarantine, too.
poison_epoch() {
	local reasons rule=$work/poison-rule
	mkdir -p "$rule"
	cat >"$rule/odd.yml" <<-YAML
	title: Odd
	id: 6f0a54a6-6b3c-4a53-8d8c-6a1f5d2f7e10
	status: test
	logsource: {product: microservice}
	detection: {odd: {message: odd}, condition: odd}
	level: low
	YAML
	seq 0 $((POISON_EPOCH_RECORDS * 2 - 1)) | jq -c '(. % 2) as $partition | ((. - $partition) / 2) as $offset
		| {topic: "logs-epoch", partition: $partition, value: ({"event.sequence": .,
			message: (if $offset % 100 == 50 then "odd" else "fine" end),
			"user.id": (if [$partition, $offset] == [0, 350] then "poison: shard"
				elif [$partition, $offset] == [1, 450] then "poison: commit"
				else "u\($offset)" end)} | tojson)}' |
		produce "$BROKER" 2>/dev/null
	node_config epochs "$BROKER" "'^logs-epoch'" "workers: 2
rules:
    paths: [$rule]"
	poison_supervise epochs $((POISON_EPOCH_RECORDS * 2)) 13
	assert_ok "who dies at work on an epoch stays in the end, with everything" node_alive epochs
	assert_match "after 1, 1 and 2 deaths, and 2 to 4 of the other" '^([6-9]|10)$' "$DEATHS"
	assert_match "the status tells that it reads slowly" 'no more than 1 of a worker' \
		"$(node_status epochs '.problems[]')"
	for partition in 0 1; do
		node_exactly_once epochs logs-epoch $partition $POISON_EPOCH_RECORDS
	done
	reasons=$(node_quarantined epochs logs-epoch | awk '{print $2, $3, $5}' | sort -n -k1,1 -k2,2 | tr '\n' ';')
	assert_equal "these two and no others are in the quarantine" "0 350 crashed;1 450 crashed;" "$reasons"
	assert_equal "all others have their alerts, one for each user" $((POISON_EPOCH_RECORDS / 100)) \
		"$(node epochs alerts list --limit 100 -o ndjson | grep -c '"Odd"')"
	node_stop epochs
}

# poison_hangs NODE TIMES: so often its log has said so.
poison_hangs() { [ "$(grep -c '^hanging$' "$work/$1.log")" -eq "$2" ]; }

# A message that never comes to an end, and a probe that kills what does not go on.
poison_hang() {
	local round
	printf '%s\n' '{"topic":"logs-poison","partition":0,"value":"{\"message\":\"poison: hang\"}"}' \
		'{"topic":"logs-poison","partition":0,"value":"{\"message\":\"fine\"}"}' |
		produce "$BROKER" 2>/dev/null
	for round in 1 2 3 4; do
		LD_PRELOAD=$work/poison.so node_start poisoned
		assert_ok "the message that hangs holds it, time $round" wait_for 20 \
			poison_hangs poisoned $round
		node_kill poisoned
	done
	LD_PRELOAD=$work/poison.so node_start poisoned
	assert_ok "then it goes on" node_wait_records poisoned 20 $((POISON_RECORDS * 2 + 2))
	node_exactly_once poisoned logs-poison 0 $((POISON_RECORDS + 2))
	assert_match "and the message is in the quarantine" "logs-poison 0 $POISON_RECORDS 0 crashed" \
		"$(node_quarantined poisoned logs-poison 0)"
	# Two more deaths from outside, with nothing in hand.
	node_kill poisoned
	node_start poisoned
	node_kill poisoned
	node_start poisoned
	assert_ok "who is killed while it waits loses nothing" \
		node_wait_records poisoned 20 $((POISON_RECORDS * 2 + 2))
	assert_equal "and the quarantine is as it was" 4 "$(node_quarantined poisoned | wc -l)"
	node_stop poisoned
}
