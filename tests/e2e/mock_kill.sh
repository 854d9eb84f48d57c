# shellcheck shell=bash
# SIGKILL and damage: nothing lost, nothing twice, the same alerts. Sourced by tests/e2e/mock.sh.

KILL_PARTITIONS=logs-auth:2,logs-orders:2
KILL_RECORDS=20000
KILL_RATE=1000
KILL_TIMES=20

# The numbers that load.py gave to the events it wants to see again.
node_sequences() {
	local node=$1 topic partition count from
	while read -r topic partition count; do
		for ((from = 0; from < count; from += E2E_PAGE_OFFSETS)); do
			node "$node" events list --topic "$topic" --partition "$partition" \
				--from "$from" --to $((from + E2E_PAGE_OFFSETS - 1)) \
				--limit $E2E_LIST_MAX -o ndjson
		done
	done < <(jq -r '.partitions[]' "$2") | jq '.event["event.sequence"]'
}

# holds_the_load NODE EXPECT: the store has exactly what load.py wrote down.
holds_the_load() {
	local node=$1 expect=$2 topic partition count
	while read -r topic partition count; do
		node_exactly_once "$node" "$topic" "$partition" "$count"
	done < <(jq -r '.partitions[]' "$expect")
	assert_equal "$node: every readable event, by the number it was sent with" \
		"$(jq -r '"\(.sequences | length) \(.sequences | add)"' "$expect")" \
		"$(node_sequences "$node" "$expect" | sort -nu | awk '{n++; s += $1} END {print n, s}')"
	assert_equal "$node: quarantined, all of them as not_json" \
		"$(jq .quarantined "$expect") not_json" \
		"$(node_quarantined "$node" | awk '{print $5}' | sort | uniq -c | awk '{print $1, $2}')"
	assert_equal "$node: the alerts, each once, with their counts" "$(jq -r '.alerts[]' "$expect")" \
		"$(node_alerts "$node" | awk '!/^picket\./ {print $1, $2, $3, $6}' | LC_ALL=C sort)"
}

kill_at_random_moments() {
	local round
	for ((round = 1; round <= KILL_TIMES; round++)); do
		sleep "0.$((RANDOM % 9 + 1))"
		node_kill killed
		# Some are killed again while they are still recovering.
		if ((round % 4 == 0)); then
			node_launch killed
			sleep "0.0$((RANDOM % 10))"
			node_kill killed
		fi
		node_start killed || return 1
	done
}

part_kill() {
	section "SIGKILL $KILL_TIMES times under load, against an uninterrupted run"
	local expect=$work/load.json seed=${E2E_SEED:-$RANDOM} load_pid
	RANDOM=$seed
	echo "    E2E_SEED=$seed"
	mock_start "$KILL_PARTITIONS"
	node_config killed "$BROKER" "'^logs-'" $'workers: 2\nactors: 2'
	assert_ok "the daemon starts" node_start killed
	python3 "$e2e_root/tests/e2e/load.py" --count $KILL_RECORDS --partitions $KILL_PARTITIONS \
		--expect "$expect" >"$work/load.ndjson"
	produce "$BROKER" --rate $KILL_RATE <"$work/load.ndjson" 2>"$work/load.log" &
	load_pid=$!
	assert_ok "every restart comes up" kill_at_random_moments
	wait $load_pid
	assert_equal "everything was sent" "$KILL_RECORDS sent, 0 failed" "$(cat "$work/load.log")"
	assert_ok "the killed daemon catches up" node_wait_records killed 30 $KILL_RECORDS
	holds_the_load killed "$expect"

	node_config calm "$BROKER" "'^logs-'" $'workers: 1\nactors: 3'
	assert_ok "a second store reads the same topics" node_start calm
	assert_ok "it catches up" node_wait_records calm 30 $KILL_RECORDS
	holds_the_load calm "$expect"
	assert_equal "both have the same alerts, to the microsecond" "$(node_alerts calm)" \
		"$(node_alerts killed)"
	node_stop calm
	jq -r .value "$work/load.ndjson" >"$work/load.values"
	assert_equal "picket scan finds the same in the same records" "$(node_alerts calm)" \
		"$("$picket" scan --rules "$e2e_root/rules/packs" --final -q "$work/load.values" 2>/dev/null |
			alert_lines)"
	assert_equal "the totals of the killed one add up" true \
		"$(node_status killed '.records.consumed == .records.stored + .records.quarantined')"
	part_seek killed
	mock_stop
}

# Runs behind part_kill, on its broker and store: its partition ends at offset 5000.
part_seek() {
	local node=$1 end=$((KILL_RECORDS / 4)) data
	section "picket sources seek"
	data=$(node_data "$node")
	assert_exit "a running daemon's store cannot be moved" 69 \
		"$picket" sources seek logs-auth 0 10 --data "$data"
	assert_match "it names the socket to ask instead" 'picket\.sock' "$(cat "$work/err")"
	node_stop "$node"
	assert_exit "back is refused" 64 node "$node" sources seek logs-auth 0 10
	assert_match "with what it would do, and the word that means it" '--again' "$(cat "$work/err")"
	assert_exit "an unknown partition is refused" 1 node "$node" sources seek logs-auth 7 10
	assert_ok "forward" node "$node" sources seek logs-auth 0 $((end + 4))
	seq 0 9 | jq -c '{topic: "logs-auth", partition: 0, value: "{\"event.sequence\": \(.)}"}' |
		produce "$BROKER" 2>/dev/null
	assert_ok "the daemon starts behind the seek" node_start "$node"
	assert_ok "it reads what is left" node_wait_records "$node" 20 $((KILL_RECORDS + 6))
	assert_equal "the four that were skipped are not there" "5004 5009" \
		"$(node_stored "$node" logs-auth 0 | sort -n | awk -v end="$end" \
			'$1 >= end { if (!first) first = $1; last = $1 } END { print first, last }')"
	node_stop "$node"
}

# flip_byte FILE PERCENT
flip_byte() {
	python3 - "$1" "$2" <<-'PYTHON'
	import sys
	with open(sys.argv[1], "r+b") as file:
	    size = file.seek(0, 2)
	    at = min(size - 1, size * int(sys.argv[2]) // 100)
	    file.seek(at)
	    byte = file.read(1)[0]
	    file.seek(at)
	    file.write(bytes([byte ^ 0x40]))
	PYTHON
}

newest_log() { find "$1" -name '*.log' -size +0 -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2; }

# damaged NAME HOW: a copy of the killed store, damaged, must read again what it lost.
damaged() {
	local node=$1 how=$2 log
	cp -a "$work/before.data" "$work/$node.data"
	log=$(newest_log "$work/$node.data")
	case $how in
	cut) truncate -s "-$(($(stat -c %s "$log") / 3))" "$log" ;;
	*) flip_byte "$log" "$how" ;;
	esac
	node_config "$node" "$BROKER" "'^logs-'"
	assert_ok "WAL damaged at $how: the daemon starts" node_start "$node" || return
	assert_ok "it has everything again" node_wait_records "$node" 30 $WAL_RECORDS
	holds_the_load "$node" "$work/wal.json"
	node_status "$node" '.rewound, .problems[]' >"$work/$node.status"
	node_stop "$node"
}

WAL_RECORDS=4000
part_wal() {
	section "damage in the write-ahead log"
	mock_start $KILL_PARTITIONS
	node_config before "$BROKER" "'^logs-'" 'checkpoint: 1s'
	assert_ok "the daemon starts" node_start before
	python3 "$e2e_root/tests/e2e/load.py" --count $WAL_RECORDS --partitions $KILL_PARTITIONS \
		--expect "$work/wal.json" | produce "$BROKER" --rate 1500 2>/dev/null
	assert_ok "it has everything" node_wait_records before 30 $WAL_RECORDS
	assert_ok "a checkpoint has been synced" test -s "$work/before.data/picket.synced"
	node_kill before
	damaged flipped 30
	assert_match "a loss of synced epochs is told in the status" '^true$' \
		"$(cat "$work/flipped.status")"
	assert_match "and in words" 'had lost its newest epochs' "$(cat "$work/flipped.status")"
	assert_match "and as an alert" '^picket\.store_rewound' "$(node_alerts flipped)"
	damaged begun 5
	damaged ended 99
	damaged torn cut
	mock_stop
}
