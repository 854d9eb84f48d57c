# shellcheck shell=bash
# docs/LOGGING.md makes promises of ten fields and shows three records: each promise is tried with
# the records as they stand there. Sourced by tests/e2e/mock.sh.

PAGE=$e2e_root/docs/LOGGING.md

# page_block LANGUAGE: the lines of its block on the page.
page_block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$PAGE" | grep -v '^```'; }

# page_records FILTER: the records, through a filter of jq, into the file that is read.
page_records() { page_block json | jq -c "$1" >"$work/page.ndjson"; }

# page_doctor EXPRESSION FILTER: of what the doctor says about them.
page_doctor() {
	page_records "$2"
	"$picket" doctor --rules "$e2e_root/rules/packs" -o ndjson "$work/page.ndjson" | jq -c "$1"
}

# page_without FIELD: a filter that takes it away, dotted and nested.
page_without() { echo "del(.\"$1\") | delpaths([\"$1\" / \".\"])"; }

# page_alerts FILTER: the rules that fire for the records.
page_alerts() {
	page_records "$1"
	"$picket" scan --final --rules "$e2e_root/rules/packs" "$work/page.ndjson" 2>/dev/null |
		jq -r .rule.name | sort -u | tr '\n' ' '
}

# The failed login twenty times, a second apart.
PAGE_LOGINS='select(."event.action" == "login") | range(20) as $i |
	."@timestamp" = (1795305600 + $i | todate) | ."event.sequence" = $i + 1'

# What picket makes of the records: fields and values.
page_fields() { "$picket" explain-event "$work/page.ndjson" | awk '$3 == $1 || $4 == $1 {print $1, $2}' | sort; }

page_flat='[paths(scalars) as $p | {key: ($p | join(".")), value: getpath($p)}] | from_entries'

part_page() {
	section "the page on how to log"
	local rows row field filter nested
	page_block json >"$work/page.ndjson"
	assert_ok "the doctor reads its records" "$picket" doctor --rules "$e2e_root/rules/packs" "$work/page.ndjson"
	assert_equal "and says what the page says" "$(page_block text)" "$(head -n 2 "$work/out")"
	page_records 'select(.service)'
	nested=$(page_fields)
	page_records "select(.service) | $page_flat"
	assert_equal "a nested record is the dotted one" "$(page_fields)" "$nested"
	assert_match "with all that is in it" 'tenant\.id acme' "$nested"

	rows=$(sed -n 's/^| \(`[@a-z].*`\) | .* |$/\1/p' "$PAGE" | head -n 10 | tr -d '` ')
	assert_equal "the page has ten rows" 10 "$(wc -l <<<"$rows")"
	while read -r row; do
		filter=.
		for field in ${row//,/ }; do filter="$filter | $(page_without "$field")"; done
		assert_equal "without $row the score is 90" 90 "$(page_doctor .score "$filter")"
	done <<<"$rows"
	for field in service.name service.version http.response.status_code; do
		assert_equal "without $field the gate is not ready" false \
			"$(page_doctor .gate.ready "$(page_without $field)")"
	done
	assert_equal "two rules need http.request.method, one error.stack_trace" "5 6 7" \
		"$(for field in http.request.method error.stack_trace no.such; do
			page_doctor .rules.can_fire "$(page_without $field)"
		done | xargs)"
	assert_equal "a number that is left out, and one that comes twice" "[1,1]" \
		"$(page_doctor '[.missing, .replayed]' 'if ."event.sequence" == 3
			then ., (."event.sequence" = 5 | ."@timestamp" = "2026-11-22T10:00:03Z"), . else . end')"
	assert_equal "without a time it is not the log's" 3 \
		"$(page_doctor .time_missing "$(page_without @timestamp)")"

	assert_equal "failed logins are told by user and by source" "brute_force_source brute_force_user " \
		"$(page_alerts "$PAGE_LOGINS")"
	assert_equal "without a user by source" "brute_force_source " \
		"$(page_alerts "$PAGE_LOGINS | $(page_without user.id)")"
	assert_equal "without a source by user" "brute_force_user " \
		"$(page_alerts "$PAGE_LOGINS | $(page_without source.ip)")"
	assert_equal "without an outcome by nobody" "" \
		"$(page_alerts "$PAGE_LOGINS | $(page_without event.outcome)")"
	assert_equal "another tenant's data is a broken wall" yes \
		"$(page_alerts 'select(.service) | .target.tenant.id = "other"' | grep -q cross_tenant && echo yes)"
	assert_equal "which needs both tenants" "" \
		"$(page_alerts 'select(.service) | .target.tenant.id = "other" | del(.tenant)')"
}
