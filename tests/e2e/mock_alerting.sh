# shellcheck shell=bash
# Alerts reach people: a webhook that checks signatures and misbehaves, Debian's Alertmanager, and a
# daemon that is killed in between. Sourced by tests/e2e/mock.sh.

WEBHOOK_SECRET=e2e-secret

# One line "ID REVISION" for every alert as the store has it now.
node_alert_revisions() {
	node "$1" alerts list --state all --limit 1000 -o json |
		jq -r '.alerts[] | "\(.alert_id) \(.revision)"' | LC_ALL=C sort
}

# The newest revision of each alert that the webhook has taken.
webhook_revisions() {
	awk '$2 + 0 > newest[$1] + 0 { newest[$1] = $2 } END { for (id in newest) print id, newest[id] }' \
		"$work/webhook.log" | LC_ALL=C sort
}

webhook_start() {
	: >>"$work/webhook.log"
	rm -f "$work/webhook.port"
	python3 "$e2e_root/tests/e2e/webhook.py" "$work/webhook.port" "$WEBHOOK_SECRET" \
		"$work/webhook.mode" "$work/webhook.log" 2>>"$work/webhook.err" &
	e2e_pids[webhook]=$!
	for _ in $(seq 100); do [ -s "$work/webhook.port" ] && return; sleep 0.05; done
	fail "the webhook starts" "$(tail -n 3 "$work/webhook.err")"
}

webhook_stop() {
	kill "${e2e_pids[webhook]}" 2>/dev/null
	wait "${e2e_pids[webhook]}" 2>/dev/null
	unset 'e2e_pids[webhook]'
}

webhook_is_level() { [ "$(webhook_revisions)" = "$(node_alert_revisions paged)" ]; }

alertmanager_alerts() { curl -fsS "http://127.0.0.1:$1/api/v2/alerts" 2>/dev/null; }

alertmanager_start() {
	printf 'route:\n  receiver: none\nreceivers:\n  - name: none\n' >"$work/alertmanager.yml"
	prometheus-alertmanager --config.file="$work/alertmanager.yml" --cluster.listen-address= \
		--storage.path="$work/alertmanager" --web.listen-address="127.0.0.1:$1" \
		>>"$work/alertmanager.log" 2>&1 &
	e2e_pids[alertmanager]=$!
	wait_for 10 alertmanager_alerts "$1" >/dev/null
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

alertmanager_has_all() {
	local wanted got
	wanted=$(node paged alerts list --state open --limit 1000 -o json |
		jq -r '.alerts[] | select(.rule.level != "informational") | .alert_id' | sort)
	got=$(alertmanager_alerts "$1" | jq -r '.[].annotations.alert_id' | sort)
	[ -n "$wanted" ] && [ "$wanted" = "$got" ]
}

# The attacks of the scenario, moved up to now: after an idle minute what is minutes old is too late
# for a window of five.
send_attacks() {
	python3 "$e2e_root/tests/e2e/scenario.py" attacks |
		jq -sc --arg user "$1" '(map(.["@timestamp"][0:19] + "Z" | fromdate) | now - max | floor) as
			$ago | .[] | .["@timestamp"] |= (.[0:19] + "Z" | fromdate + $ago | todate) |
			{topic: "logs-auth", partition: 0, value: (.["user.id"] |= . + $user | tojson)}' |
		produce "$BROKER"
}

part_alerting() {
	section "alerts reach a webhook and Alertmanager"
	local am_port am='' have
	am_port=$(free_port)
	command -v prometheus-alertmanager >/dev/null && am=1
	echo "$WEBHOOK_SECRET" >"$work/webhook.secret"
	mock_start logs-auth:1
	webhook_start
	[ -z "$am" ] || assert_ok "Alertmanager starts" alertmanager_start "$am_port"
	node_config paged "$BROKER" "'^logs-'" "$(printf '%s\n' 'receivers:' \
		'    alertmanager:' "        url: http://127.0.0.1:$am_port/" \
		'    webhook:' "        url: http://127.0.0.1:$(cat "$work/webhook.port")/hook" \
		"        secret_file: $work/webhook.secret" '        level: informational')"
	assert_ok "the configuration is good" "$picket" check -c "$work/paged.yaml"
	assert_ok "the daemon starts" node_start paged
	assert_ok "a test message is taken" node paged receivers test webhook
	send_attacks 1
	assert_ok "the daemon finds the attacks" node_wait paged 20 '.alerts.total > 2'
	assert_ok "the webhook hears of every alert" wait_for 20 webhook_is_level
	if [ -n "$am" ]; then
		assert_ok "a test message is taken by Alertmanager" node paged receivers test alertmanager
		assert_ok "Alertmanager shows what is open" wait_for 20 alertmanager_has_all "$am_port"
		have=$(alertmanager_alerts "$am_port" | jq -r '[.[].labels.severity] | unique | join(" ")')
		assert_match "with the level as its severity" 'high|critical' "$have"
	else
		skip "Alertmanager: no prometheus-alertmanager here"
	fi

	section "a webhook that refuses, hangs, and a daemon that is killed meanwhile"
	echo 503 >"$work/webhook.mode"
	send_attacks 2
	assert_ok "it says that the webhook takes nothing" node_wait paged 20 \
		'[.problems[] | select(startswith("webhook takes no alerts"))] | length == 1'
	node_kill paged
	echo hang >"$work/webhook.mode"
	assert_ok "killed and started again" node_start paged
	send_attacks 3
	node_wait_caught_up paged 20
	node_stop paged
	assert_equal "it stops while the webhook hangs" 0 "$STOP_CODE"
	echo ok >"$work/webhook.mode"
	assert_ok "started again" node_start paged
	assert_ok "the webhook has heard of every alert" wait_for 30 webhook_is_level
	assert_equal "no message was wrong" 0 "$(grep -c BAD "$work/webhook.log")"
	echo 400 >"$work/webhook.mode"
	send_attacks 4
	node_wait paged 20 '.alerts.total > 8'
	wait_for 10 test_undelivered
	assert_ok "what it refuses is filed with the reason" test_undelivered
	echo ok >"$work/webhook.mode"
	assert_ok "and tried once more on request" node paged receivers retry webhook
	assert_ok "then it has heard of every alert" wait_for 20 webhook_is_level

	section "a backtest of the live rules finds what they found live"
	node_wait_caught_up paged 20
	assert_ok "it runs in the daemon" node paged rules backtest "$e2e_root/rules/packs" \
		--since 1h -o json
	assert_equal "the same alerts" "$(found_live)" "$(jq -r '.found[] | [.rule, .tenant,
		(.group | tojson), .count, .first, .last] | map(tostring) | join(" ")' "$work/out" |
		LC_ALL=C sort)"

	section "a backtest takes lists and pipelines along"
	supplied_checks

	section "an alert that was not worth it becomes a filter"
	tuning_checks
	node_stop paged
	webhook_stop
	mock_stop
}

alert_of() {
	node paged alerts list --state all -o json | jq -r --arg user "$1" '.alerts[] |
		select(.rule.name == "brute_force_user" and .group["user.id"] == $user) | .alert_id'
}

alert_of_source() {
	node paged alerts list --state all --rule brute_force_source -o json |
		jq -r '.alerts[0].alert_id'
}

tuning_checks() {
	local rules=$e2e_root/rules/packs
	assert_ok "an alert is shown" node paged alerts show "$(alert_of ann1)"
	assert_match "with what its rule is about" '^about +[A-Z]' "$(cat "$work/out")"
	assert_match "and where to look next" '^  picket entity user:ann1 --tenant acme' \
		"$(cat "$work/err")"
	assert_ok "closed as what it was not" node paged alerts close "$(alert_of ann1)" --as benign
	assert_ok "closed as a false positive" node paged alerts close "$(alert_of ann1)" \
		--as false-positive --note "a load test"
	assert_match "which says what it was before" 'is closed as false-positive .it was benign.$' \
		"$(cat "$work/out")"
	assert_ok "another as a true one" node paged alerts close "$(alert_of ann2)" --as true-positive
	assert_ok "the filter is made and tried" node paged rules tune "$(alert_of ann1)" \
		--rules "$rules" --since 1h
	assert_match "it says what it removes and keeps" \
		'^removes 1 of 4 alerts .1 false positives, 0 not judged.; keeps 3, 1 of them true' \
		"$(cat "$work/err")"
	cp "$work/out" "$work/filter.yml"
	assert_ok "it loads beside the rules" "$picket" rules lint "$rules" "$work/filter.yml"
	assert_exit "one that would hide a true positive is refused" 1 \
		node paged rules tune "$(alert_of ann2)" --rules "$rules" --since 1h
	assert_match "in words" 'would have hidden 1 true positives' "$(cat "$work/err")"
	cp "$work/out" "$work/harmful.yml"
	assert_exit "a pipeline that tries it anyway is told" 1 node paged rules backtest "$rules" \
		"$work/harmful.yml" --against "$rules" --since 1h -o junit
	assert_match "in JUnit" '<failure message="1 true positives would be gone"' "$(cat "$work/out")"
	assert_exit "so is one that would hide a true positive of another rule" 1 \
		node paged rules tune "$(alert_of_source)" --rules "$rules" --by event.outcome
	assert_match "in words" '^also removes 4 of 4 alerts of .* .1 true positives' "$(cat "$work/err")"
	assert_ok "an address that picket has spelled is found in the events" \
		node paged rules tune "$(alert_of_source)" --rules "$rules"
	assert_match "and taken away" '^removes 1 of ' "$(cat "$work/err")"
	assert_exit "a field the alert does not have" 65 \
		node paged rules tune "$(alert_of ann2)" --rules "$rules" --by user.name
	assert_match "the audit knows who closed what" 'POST .*alerts/[0-9a-f]*/close' \
		"$(node paged audit list -o ndjson | jq -r '.method + " " + .question')"
}

# A rule for another vocabulary and with a list: the daemon has neither the pipeline nor the list.
supplied_checks() {
	local folder=$work/supplied
	mkdir -p "$folder"
	printf 'ann1\n' >"$folder/People.txt"
	printf '%s\n' 'title: what people do' 'logsource: {product: microservice}' \
		"detection: {s: {who|expand: '%People%'}, condition: s}" 'level: low' >"$folder/rule.yml"
	printf '%s\n' 'name: names' 'priority: 10' 'transformations:' \
		'    - {id: a, type: field_name_mapping, mapping: {who: user.id}}' >"$folder/names.yml"
	assert_ok "with both" node paged rules backtest "$folder/rule.yml" -p "$folder/names.yml" \
		--list "People=$folder/People.txt" --since 1h -o json
	assert_equal "it finds whom the list names" ann1 \
		"$(jq -r '[.found[].group["user.id"]] | unique | join(" ")' "$work/out")"
	assert_ok "without the pipeline" node paged rules backtest "$folder/rule.yml" \
		--list "$folder" --since 1h -o json
	assert_equal "nobody" 0 "$(jq '.found | length' "$work/out")"
	assert_exit "without the list it is refused" 65 \
		node paged rules backtest "$folder/rule.yml" --since 1h
}

found_live() {
	node paged alerts list --state all --limit 1000 -o json | jq -r '.alerts[] |
		select(.rule.id | startswith("picket.") | not) | select(.state != "merged") |
		[.rule.id, .tenant, (.group | tojson), .count, .first, .last] | map(tostring) | join(" ")' |
		LC_ALL=C sort
}

test_undelivered() {
	node paged receivers list --undelivered -o json |
		jq -e '[.undelivered[] | select(.reason == "HTTP 400: not today")] | length > 0' >/dev/null
}
