# shellcheck shell=bash
# Rules swapped while the daemon runs: by the verb, by SIGHUP, with a bad file, and with a SIGKILL
# right behind it. Sourced by tests/e2e/mock.sh.

# reload_rule THRESHOLD: so many failures of one user within an hour, and a word that is looked for.
reload_rule() {
	cat <<-YAML
	title: Failure
	name: failure
	logsource: {product: microservice}
	detection: {selection: {event.outcome: failure}, condition: selection}
	level: informational
	---
	title: Many failures
	name: many_failures
	id: 7d1d1f5e-6a6e-4f3e-8c55-0a4b1f0f6e01
	correlation: {type: event_count, rules: [failure], group-by: [user.id], timespan: 1h,
	              condition: {gte: $1}}
	level: high
	YAML
}

# reload_failures FROM COUNT: seconds of one hour, one failure each.
reload_failures() {
	local second
	for ((second = $1; second < $1 + $2; second++)); do
		printf '{"topic":"logs-reload","partition":0,"value":"{\\"@timestamp\\":\\"%s\\",%s}"}\n' \
			"$(date -u -d "@$((RELOAD_BASE + second))" +%FT%TZ)" \
			'\"event.outcome\":\"failure\",\"user.id\":\"ann\",\"tenant.id\":\"acme\"'
	done | produce "$BROKER"
}

reload_alerts() {
	node reload alerts list -o ndjson --limit 100 | jq -r '"\(.rule.name) \(.count)"' | sort
}

# What filters took away, as the status and as /metrics say it.
reload_excluded() {
	echo "$(node_status reload .correlation.excluded_by_filters)" \
		"$(curl -s --unix-socket "$work/reload.data/picket.sock" http://picket/metrics |
			awk '$1 == "picket_filter_excluded_total" {print $2}')"
}

reload_new_rule_is() {
	[ "$(node reload alerts list --state all -o ndjson --limit 9 |
		jq -r 'select(.rule.name == "new_rule") | .state')" = "$1" ]
}

# The risk on ann, as her page shows it: score and threshold, by which rule and how many additions.
reload_risk_is() {
	[ "$(node reload entity user:ann -o json | jq -r '.risk.entities[] |
		"\(.field) \(.score)/\(.threshold) \(.parts[0].title) \(.parts[0].additions)"')" = "$1" ]
}

# A risk is added to the live rules: the page of an entity shows what the past has put there.
reload_entity() {
	assert_ok "the page of a user" node reload entity user:ann
	assert_equal "without a rule that adds risks up it has none" "" "$(grep '^risk' "$work/out")"
	cat >"$work/reload-rules/risk.yml" <<-YAML
	title: Seen
	name: seen
	logsource: {product: microservice}
	detection: {selection: {user.id: ann}, condition: selection}
	level: informational
	picket: {risk: {score: 40, on: [user.id], once-per: 0s}}
	---
	title: Too much
	name: too_much
	correlation: {type: risk, group-by: [entity], timespan: 1d, condition: {gte: 1000}}
	level: high
	YAML
	assert_ok "a reload with a risk" node reload rules reload
	assert_ok "puts on it what is stored, at the next checkpoint" \
		wait_for 20 reload_risk_is "user.id 320/1000 Seen 8"
	reload_failures $(($(date +%s) - RELOAD_BASE)) 1 # of now: an older one is late by this time
	assert_ok "and what comes" wait_for 20 reload_risk_is "user.id 360/1000 Seen 9"
	assert_ok "for people" node reload entity user:ANN --tenant acme
	assert_match "the sum and its parts" \
		'^risk +360 of 1000  Too much  \(user.id of acme, at [0-9TZ:.-]+\)
 +360  Seen  9 times, last ' "$(cat "$work/out")"
	assert_exit "another tenant has no such user" 1 node reload entity user:ann --tenant globex
}

part_reload() {
	section "rules reloaded while the daemon runs"
	local hash
	RELOAD_BASE=$(($(date +%s) - 600))
	mkdir -p "$work/reload-rules"
	reload_rule 4 >"$work/reload-rules/rules.yml"
	mock_start logs-reload:1
	node_config reload "$BROKER" logs-reload "rules:
    paths: [$work/reload-rules]
lateness: 1s
checkpoint: 1s"
	assert_ok "the daemon starts" node_start reload
	reload_failures 0 3
	assert_ok "three failures are read" node_wait_records reload 30 3
	assert_equal "and are not enough" "" "$(reload_alerts)"
	hash=$(node_status reload .rules.hash)

	assert_ok "the rules held against what is stored" node reload rules coverage -o json
	assert_equal "say what was looked at, and that the rule can fire" "3 true can fire" \
		"$(jq -r '"\(.events) \(.complete) \(.rules[0].state)"' "$work/out")"
	assert_exit "fewer events than there are: incomplete" 2 node reload rules coverage --limit 2
	assert_match "says why" 'only 2 events were looked at' "$(cat "$work/err")"
	assert_exit "files and the store do not mix" 64 node reload rules coverage --input raw

	assert_ok "a reload of the same rules" node reload rules reload -o json
	assert_equal "changes nothing" "false $hash" "$(jq -r '"\(.changed) \(.hash)"' "$work/out")"

	printf 'title: Broken\nlogsource: {product: p}\ndetection: {s: {a|contain: b}, condition: s}\n' \
		>"$work/reload-rules/broken.yml"
	assert_exit "a bad rule is refused with 65" 65 node reload rules reload
	assert_match "with its place and the fix" \
		"broken.yml:3:19: unknown modifier 'contain' \(did you mean 'contains'" "$(cat "$work/err")"
	assert_equal "the old rules stay" "$hash" "$(node_status reload .rules.hash)"
	assert_match "status says so" "old ones are live: .*broken.yml:3:19" \
		"$(node_status reload '.problems[]')"
	kill -HUP "${e2e_pids[reload]}"
	assert_ok "SIGHUP with a bad rule is survived" \
		node_wait reload 10 '.rules.reloads_refused == 2'
	assert_match "and logged" 'rules not reloaded, the old ones stay.*broken.yml:3:19' \
		"$(cat "$work/reload.log")"
	rm "$work/reload-rules/broken.yml"

	reload_failures 3 1
	assert_ok "the fourth failure is read" node_wait_records reload 30 4
	assert_ok "and found: what was counted survived all that" \
		node_wait reload 10 '.alerts.total == 1'
	assert_equal "with the three from before" "many_failures 4" "$(reload_alerts)"

	reload_rule 6 >"$work/reload-rules/rules.yml"
	cat >"$work/reload-rules/new.yml" <<-YAML
	title: New rule
	name: new_rule
	logsource: {product: microservice}
	detection: {selection: {user.id: ann}, condition: selection}
	level: low
	YAML
	kill -HUP "${e2e_pids[reload]}"
	assert_ok "SIGHUP swaps another set in" node_wait reload 10 ".rules.hash != \"$hash\""
	node_kill reload
	assert_ok "killed right behind it, it starts again" node_start reload
	assert_match "with the new set" "^3$" "$(node_status reload .rules.loaded)"
	reload_failures 4 2
	assert_ok "two more are read" node_wait_records reload 30 6
	assert_ok "the new rule finds" node_wait reload 10 '.alerts.total == 2'
	assert_equal "and the alert from before goes on" "many_failures 6
new_rule 2" "$(reload_alerts)"

	rm "$work/reload-rules/new.yml"
	assert_ok "a reload without the new rule" node reload rules reload
	assert_ok "ends its alert, an epoch later at most" wait_for 10 reload_new_rule_is ended
	assert_equal "status counts reloads, and the rules" "1 2" \
		"$(node_status reload .rules.reloads) $(node_status reload .rules.loaded)"

	cat >"$work/reload-rules/filter.yml" <<-YAML
	title: Not ann
	logsource: {product: microservice}
	filter: {rules: [failure], selection: {user.id: ann}, condition: not selection}
	YAML
	assert_equal "no filter has taken anything away" "0 0" "$(reload_excluded)"
	assert_ok "a reload with a filter" node reload rules reload
	reload_failures 6 2
	assert_ok "two failures that it takes away" node_wait_records reload 30 8
	assert_ok "are counted in the status" \
		node_wait reload 10 '.correlation.excluded_by_filters == 2'
	assert_equal "and in the metrics" "2 2" "$(reload_excluded)"
	assert_equal "and go into no alert" "many_failures 6" "$(reload_alerts | grep many_failures)"
	reload_entity
	node_stop reload
	mock_stop
}
