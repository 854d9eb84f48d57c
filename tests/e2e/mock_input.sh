# shellcheck shell=bash
# Bad records, through Kafka and through files. Sourced by tests/e2e/mock.sh.

# Through Kafka: every case has a partition of its own, so that none can hide another.
part_input() {
	section "bad input, through Kafka"
	local name stored quarantined reason flag file partition=0 count total=0
	python3 "$e2e_root/tests/e2e/bad_input.py" "$work/bad" >"$work/bad.list"
	count=$(wc -l <"$work/bad.list")
	mock_start "bad:$count"
	node_config bad "$BROKER" bad
	assert_ok "the daemon starts" node_start bad
	while read -r name stored quarantined reason flag file; do
		total=$((total + stored + quarantined))
		jq -nc --arg name "$name" --arg file "$work/bad/$name" --argjson partition $partition \
			'{topic: "bad", partition: $partition} +
			if ($name | startswith("tombstone")) then {value: null, key: "k"} else {file: $file} end'
		partition=$((partition + 1))
	done <"$work/bad.list" >"$work/bad.ndjson"
	assert_ok "all of it is sent" produce "$BROKER" <"$work/bad.ndjson"
	assert_ok "the daemon lives and reads it all" node_wait_records bad 30 $total
	assert_equal "records = stored + quarantined" true \
		"$(node_status bad '.records.consumed == .records.stored + .records.quarantined')"
	partition=0
	while read -r name stored quarantined reason flag file; do
		check_bad_record "$partition" "$name" "$stored" "$quarantined" "$reason" "$flag"
		partition=$((partition + 1))
	done <"$work/bad.list"
	check_bad_shown
	node_kill bad
	assert_ok "the same store starts again" node_start bad
	assert_ok "with nothing less" node_wait_records bad 20 $total
	assert_equal "and nothing more" $total \
		"$(node_status bad '.records.stored + .records.quarantined')"
	node_stop bad
	mock_stop
	files_of_bad_input
}

check_bad_record() {
	local partition=$1 name=$2 stored=$3 quarantined=$4 reason=$5 flag=$6 events rows count got_flag
	events=$(node bad events list --topic bad --partition "$partition" --limit 100 -o ndjson)
	rows=$(node_quarantined bad bad "$partition")
	count=$(grep -c . <<<"$events")
	[ "$count" -lt 100 ] || count=$(node bad sources list -o json |
		jq --argjson partition "$partition" '.sources[] | select(.partition == $partition) | .stored')
	assert_equal "$name: stored, quarantined, reason" "$stored $quarantined $reason" \
		"$count $(grep -c . <<<"$rows") $(awk '{print $5}' <<<"${rows:-- - - - -}")"
	[ "$flag" = - ] && return
	got_flag=$(jq -r '.event["picket.quality"] // [] | if type == "array" then .[] else . end' <<<"$events")
	assert_match "$name: flagged" "^$flag\$" "$got_flag"
}

# What an analyst does next with what was caught.
check_bad_shown() {
	local partition
	partition=$(awk '$1 == "many_keys" {print NR - 1}' "$work/bad.list")
	assert_equal "a protected field behind 100,000 others is there" u1 \
		"$(node bad events show "bad/$partition/0" -o json | jq -r '.event["user.id"]')"
	partition=$(awk '$1 == "huge_number" {print NR - 1}' "$work/bad.list")
	assert_match "a number beyond 64 bit keeps its digits" 123456789012345678901234567890 \
		"$(node bad events show "bad/$partition/0" -o json)"
	partition=$(awk '$1 == "binary" {print NR - 1}' "$work/bad.list")
	node bad quarantine show "bad/$partition/0/0" --raw >"$work/raw"
	assert_ok "quarantine show --raw gives the very bytes" cmp "$work/raw" "$work/bad/binary"
	partition=$(awk '$1 == "large" {print NR - 1}' "$work/bad.list")
	assert_equal "no list lets an escape sequence through" 0 \
		"$({ node bad quarantine list --limit 1000; node bad events list --limit 1000; } |
			grep -c $'[\e\a]')"
}

# The same bytes as files, with the shipped rules.
files_of_bad_input() {
	section "bad input, through picket scan"
	local name file code got
	while read -r name _ _ _ _ file; do
		[ "$file" = - ] && continue
		code=0
		[ "${file#*,}" -gt 0 ] && code=2
		assert_exit "$name: exit code $code" $code \
			"$picket" scan --rules "$e2e_root/rules/packs" "$work/bad/$name"
		got=$(sed -nE 's/^([0-9]+) events read, ([0-9]+) quarantined.*/\1 \2/p' "$work/err")
		assert_equal "$name: events read, quarantined" "${file/,/ }" "$got"
	done <"$work/bad.list"
}
