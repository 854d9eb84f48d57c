# shellcheck shell=bash
# `picket scan` as a program that other programs read: output, exit codes, what does not matter.
# Sourced by tests/e2e/mock.sh.

# Twenty-two failed logins of ann, one read across tenants by bob.
scan_events() {
	local second
	for ((second = 0; second < 22; second++)); do
		printf '{"@timestamp":"2026-01-01T00:00:%02dZ","event.category":"authentication",' "$second"
		printf '"event.outcome":"failure","user.id":"ann","tenant.id":"acme"}\n'
	done
	printf '{"@timestamp":"2026-01-01T00:00:30Z","service.name":"orders","user.id":"bob",'
	printf '"tenant.id":"acme","target.tenant.id":"globex","http.response.status_code":200}\n'
}

# A rule of another world: fields as they are in the file, a log source nothing here has.
scan_foreign_rule() {
	cat <<-'YAML'
	title: Whoami
	id: 11111111-2222-4333-8444-555555555555
	status: test
	logsource: {product: windows, category: process_creation}
	detection:
	    selection: {Image|endswith: '\whoami.exe'}
	    condition: selection
	level: medium
	YAML
}

scan() { "$picket" scan --rules "$e2e_root/rules/packs" "$@"; }

# What an alert says whatever the way the events came in.
scan_final() {
	scan --final -q "$@" | jq -c '[.rule.name, .tenant, .group, .first, .last, .count, .rule.level]' |
		LC_ALL=C sort
}

part_scan() {
	section "picket scan"
	mkdir -p "$work/scan"
	cd "$work/scan" || return
	scan_events >events.ndjson
	scan_output
	scan_forms
	scan_order
	scan_raw
	scan_problems
	scan_undecided
	cd "$e2e_root" || return
}

scan_output() {
	local ids
	assert_ok "runs" scan events.ndjson
	assert_equal "every line is an alert with all its members" true "$(jq -s 'length >= 4 and all(
		.schema == "picket.alert/1" and (.alert_id | test("^[0-9a-f]{32}$")) and .revision >= 1 and
		(.state == "open" or .state == "ended") and (.rule | has("id") and has("name") and
		has("title") and has("level")) and (.time | test("Z$")) and .tenant == "acme" and
		(.group | type == "object") and .count >= 1 and has("first") and has("last") and
		(.events | length >= 1 and all(.file == "events.ndjson" and .line >= 1 and .index == 0)) and
		(.reason | length > 0))' "$work/out")"
	assert_equal "revisions of an alert count up from 1" true "$(jq -s 'group_by(.alert_id) |
		all([.[].revision] == [range(1; length + 1)])' "$work/out")"
	ids=$(jq -r .alert_id "$work/out" | sort -u)
	assert_match "standard error says what was read" \
		'^23 events read, 0 quarantined; [0-9]+ rules, [0-9]+ matches, 2 alerts$' "$(cat "$work/err")"
	assert_ok "--final runs" scan --final events.ndjson
	assert_equal "--final: each alert once, ended" "2 ended" \
		"$(jq -r .state "$work/out" | sort | uniq -c | awk '{print $1, $2}')"
	assert_equal "--final: the same alerts" "$ids" "$(jq -r .alert_id "$work/out" | sort -u)"
	assert_equal "--final: with their counts" "22 1" \
		"$(jq -r 'select(.rule.name == "brute_force_user") | .count' "$work/out") $(jq -r \
			'select(.rule.name == "cross_tenant_access") | .count' "$work/out")"
	assert_ok "--matches runs" scan --matches events.ndjson
	assert_equal "--matches: one line per event and rule" "22 login_failed 1 cross_tenant_access" \
		"$(jq -r .rule.name "$work/out" | sort -r | uniq -c | awk '{print $1, $2}' | xargs)"
	assert_equal "--matches: the schema" true "$(jq -s 'all(.schema == "picket.match/1" and
		(.rule | has("id") and has("name") and has("title")) and
		(.event | .file == "events.ndjson" and .line >= 1 and .index == 0))' "$work/out")"
	assert_ok "-o table runs" scan -o table events.ndjson
	assert_match "-o table: for people" 'Many failed logins for one user' "$(cat "$work/out")"
	scan -q events.ndjson >/dev/null 2>"$work/err"
	assert_equal "-q says nothing" "" "$(cat "$work/err")"
}

# The same events in every form a file may have.
scan_forms() {
	local wanted form
	wanted=$(scan_final events.ndjson)
	jq -s . events.ndjson >array.json
	gzip -k events.ndjson
	gzip -k array.json
	jq -c 'to_entries | map({key: .key, value: .value}) | reduce .[] as $one ({};
		setpath($one.key | split("."); $one.value))' events.ndjson >nested.ndjson
	sed 's/$/\r/' events.ndjson >dos.ndjson
	head -c -1 events.ndjson >no_newline.ndjson
	jq -c '."@timestamp" |= (fromdate * 1000) | .when = ."@timestamp" | del(."@timestamp")' \
		events.ndjson >when.ndjson
	for form in array.json events.ndjson.gz array.json.gz nested.ndjson dos.ndjson no_newline.ndjson; do
		assert_equal "$form gives the same alerts" "$wanted" "$(scan_final "$form")"
	done
	assert_equal "standard input too" "$wanted" "$(scan_final - <events.ndjson)"
	assert_equal "--time-field, in milliseconds, too" "$wanted" \
		"$(scan_final --time-field when when.ndjson)"
	scan --final when.ndjson >/dev/null 2>"$work/err"
	assert_match "without a time: the line number counts, and a warning says so" \
		'warning: 23 events have no time; their line number' "$(cat "$work/err")"
}

scan_order() {
	local wanted seed
	wanted=$(scan_final events.ndjson)
	split -n l/3 events.ndjson piece.
	assert_equal "the order of the files does not matter" "$wanted" \
		"$(scan_final piece.ac piece.aa piece.ab)"
	for seed in 1 2 3; do
		shuf --random-source=<(yes "$seed") events.ndjson >shuffled.ndjson
		assert_equal "nor the order of the lines ($seed)" "$wanted" "$(scan_final shuffled.ndjson)"
	done
	assert_equal "with --lateness 1m neither" "$wanted" \
		"$(scan_final --lateness 1m shuffled.ndjson)"
}

scan_raw() {
	mkdir -p foreign
	scan_foreign_rule >foreign/whoami.yml
	printf '%s\n' '{"Image":"C:\\Windows\\whoami.exe","user":"ann"}' '{"Image":"C:\\a.exe"}' \
		'{"image":"C:\\Windows\\whoami.exe"}' >sysmon.ndjson
	assert_ok "--input raw runs" "$picket" scan --rules foreign --input raw --matches sysmon.ndjson
	assert_equal "--input raw: every rule is a candidate; names as in the file" 1 \
		"$(jq -r .event.line "$work/out")"
	assert_ok "without it, no log source fits" "$picket" scan --rules foreign --matches sysmon.ndjson
	assert_equal "so nothing matches" "" "$(cat "$work/out")"
	assert_match "and standard error names the rule and the way out" 'no event for: Whoami' \
		"$(cat "$work/err")"
	assert_match "the way out" '1 rules? had no event of (its|their) log source.*--input raw' \
		"$(cat "$work/err")"
}

scan_problems() {
	assert_exit "no file: 64" 64 scan
	assert_exit "an unknown option: 64" 64 scan --fnal events.ndjson
	assert_match "with the nearest name" '\-\-final' "$(cat "$work/err")"
	assert_exit "an unknown format: 64" 64 scan --input otpl events.ndjson
	assert_exit "a bad duration: 64" 64 scan --lateness soon events.ndjson
	assert_exit "a file that is not there: 65" 65 scan nothing.ndjson
	assert_match "it is named" 'nothing\.ndjson' "$(cat "$work/err")"
	assert_exit "rules that are not there: 65" 65 "$picket" scan --rules nothing events.ndjson
	mkdir -p typo
	sed 's/endswith/endwith/' foreign/whoami.yml >typo/rule.yml
	assert_exit "a rule with a typo: 65" 65 "$picket" scan --rules typo events.ndjson
	assert_match "file, line, column, nearest name" 'typo/rule\.yml:[0-9]+:[0-9]+: .*endswith' \
		"$(cat "$work/err")"
	{ cat events.ndjson; echo '{"cut": '; } >broken.ndjson
	assert_exit "a line that cannot be read: 2" 2 scan --final broken.ndjson
	assert_match "it is named with its line" '^broken\.ndjson:24: not_json' "$(cat "$work/err")"
	assert_equal "and the rest has been judged" 2 "$(wc -l <"$work/out")"
	gzip -c events.ndjson | head -c 150 >cut.ndjson.gz
	assert_exit "a gzip file that is cut off: 2" 2 scan --final cut.ndjson.gz
	: >empty.ndjson
	assert_ok "an empty file: 0" scan empty.ndjson
	assert_match "which does not look like a clean one" '^0 events read' "$(cat "$work/err")"
	assert_exit "output that cannot be written: 70" 70 sh -c \
		'exec "$0" scan --rules "$1" events.ndjson >/dev/full' "$picket" "$e2e_root/rules/packs"
}

# A pattern that explodes gives up: an alert and exit code 2, with -q too; never silence.
scan_undecided() {
	mkdir -p explodes
	scan_foreign_rule | sed "s/Image|endswith: .*}/Image|re: '^(a+)+(?=b)'}/" >explodes/rule.yml
	echo '{"Image":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}' >explodes/events.ndjson
	assert_exit "a rule that gives up: 2" 2 \
		"$picket" scan -q --input raw --rules explodes/rule.yml explodes/events.ndjson
	assert_equal "and an alert" '["rule.undecided","ended",1]' \
		"$(jq -c '[.rule.id, .state, .count]' "$work/out")"
	assert_match "that says where" 'explodes/events\.ndjson:1' "$(jq -r .reason "$work/out")"
}
