# shellcheck shell=bash
# The life of a store: backup, restore and export, each of them also killed in the middle; a store
# that cannot be read.
# Sourced by tests/e2e/mock.sh.

# export_lines FILE: a line "OFFSET INDEX" for every exported event, in the order of the file.
export_lines() { jq -r '"\(.topic) \(.partition) \(.offset) \(.index)"' "$1"; }

# same_raw NODE LINE: whether the event still has the bytes of that line.
same_raw() {
	node "$1" events show "$work/store-events.ndjson/0/$2" --raw |
		cmp - <(sed -n "$2p" "$work/store-events.ndjson" | head -c -1)
}

# grown FILE SIZE: whether it is larger now.
grown() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]; }

part_store() {
	local records=60000 file=$work/export.ndjson kills=0 pid part size
	section "backup, restore, export"
	python3 - "$work/store-events.ndjson" $records <<-'PYTHON'
		import json, sys
		with open(sys.argv[1], "w") as out:
		    for i in range(int(sys.argv[2])):
		        out.write(json.dumps({"@timestamp": 1780000000 + i % 300, "message": "event %d" % i,
		                              "tenant.id": "t%d" % (i % 7), "big": 12345678901234567890123 + i}) + "\n")
	PYTHON
	cat >"$work/store.yaml" <<-YAML
		data_dir: $work/store.data
		files: [$work/store-events.ndjson]
		rules: {paths: [$e2e_root/rules/packs/auth]}
		time: {trusted: true}
		merge: 1s
		store: {raw: ["$work/store-ev*"]}
		api: {listen: "off"}
	YAML
	assert_ok "the daemon starts" node_start store
	assert_ok "everything is stored" node_wait_records store 60 $records
	assert_ok "with the bytes it was" same_raw store 7
	assert_ok "a backup while it runs" node store store backup "$work/store.backup"
	assert_exit "an export that nobody disturbs" 0 node store store export "$work/whole.ndjson"
	assert_equal "has every event" $records "$(wc -l <"$work/whole.ndjson")"
	assert_equal "in order, each once" "" \
		"$(export_lines "$work/whole.ndjson" | awk '$3 <= last && NR > 1 {print} {last = $3}' | head -n 3)"
	assert_match "numbers keep their digits" '"big":12345678901234567890123[,}]' "$(head -n 1 "$work/whole.ndjson")"
	assert_exit "another one does not overwrite it" 64 node store store export "$work/whole.ndjson"
	for part in 1 2 3 4 5; do
		size=$(stat -c %s "$file" 2>/dev/null || echo 0)
		"$picket" store export "$file" --resume --server "unix:$work/store.data/picket.sock" 2>/dev/null &
		pid=$!
		[ $part -eq 5 ] && break # this one ends by itself
		wait_for 20 grown "$file" "$size" || break
		kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
		wait $pid 2>/dev/null
		head -c -7 "$file" >"$file.cut" && mv "$file.cut" "$file" # as if a page was half on disk
	done
	wait $pid
	[ $kills -gt 0 ] && pass "exports were killed" || fail "no export was slow enough to be killed"
	assert_ok "killed $kills times: no line twice, none missing" cmp "$file" "$work/whole.ndjson"
	assert_exit "what is complete goes on with nothing" 0 node store store export "$file" --resume
	assert_ok "and stays as it is" cmp "$file" "$work/whole.ndjson"
	assert_exit "a tenant's events" 0 node store store export --tenant t3 "$work/t3.ndjson"
	assert_equal "and no others" "t3" "$(jq -r .tenant "$work/t3.ndjson" | sort -u)"
	assert_exit "over a running store nothing is restored" 65 \
		"$picket" store restore "$work/store.backup" "$work/store.data"
	node_stop store
	assert_exit "a restore" 0 "$picket" store restore "$work/store.backup" "$work/restored.data"
	sed "s|store.data|restored.data|" "$work/store.yaml" >"$work/restored.yaml"
	assert_ok "the daemon starts on it" node_start restored
	assert_ok "with everything, read on from where the backup stood" node_wait_records restored 60 $records
	assert_exit "every row is whole" 0 node restored store verify
	assert_ok "an event has the bytes it was" same_raw restored $records
	assert_exit "exporting it" 0 node restored store export "$work/again.ndjson"
	assert_ok "gives the same" cmp "$work/again.ndjson" "$work/whole.ndjson"
	node_stop restored
	printf x >"$work/restored.data/CURRENT"
	assert_exit "a store that cannot be read is not started on" 65 "$picket" run -c "$work/restored.yaml"
	assert_match "and the way out is said" 'move it away and set kafka.start: earliest' \
		"$(cat "$work/err")"
}
