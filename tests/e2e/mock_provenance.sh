# shellcheck shell=bash
# Who may write, what is hidden and what picket knows itself: keys, bindings and lists that change
# while the daemon runs, a bomb, and the doctor at a topic. Sourced by tests/e2e/mock.sh.

JWT=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1rwW1

# sent TOPIC PARTITION < one JSON object a line
sent() {
	jq -c --arg topic "$1" --argjson partition "$2" \
		'{topic: $topic, partition: $partition, value: tojson}' | produce "$BROKER" 2>"$work/sent"
}

# What docs/PRIVACY.md tells an operator to type: the hash of a value under the key in a file.
hash_of() {
	local key
	key=$(printf %s "$(cat "$1")" | openssl dgst -sha256 -hex | sed 's/.*= *//')
	printf %s "$2" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" | sed 's/.*= *//' | cut -c1-24
}

# The newest event of the node, one field of it.
newest() { # NODE FIELD
	node "$1" events list --limit 1000 -o ndjson |
		jq -sr --arg field "$2" 'sort_by(.offset) | last | .event[$field] // "-"'
}

login_of() { # TENANT
	printf '{"service.name":"shop","tenant.id":"%s","user.id":"ann@example.com","message":"token %s"}\n' \
		"$1" "$JWT"
}

part_custody() {
	section "the privacy key and the bindings change while the daemon runs"
	local first second hash answer
	echo "the first key of the drill" >"$work/key"
	echo '- {topic: logs-custody, tenants: [acme]}' >"$work/bindings.yml"
	mock_start logs-custody:1
	node_config custody "$BROKER" logs-custody "privacy: {key_file: $work/key, fields: {user.id: hmac}}
provenance: {bindings: $work/bindings.yml}"
	assert_ok "the daemon starts" node_start custody
	login_of acme | sent logs-custody 0
	assert_ok "an event is read" node_wait_records custody 30 1
	first=$(newest custody user.id)
	assert_match "its user is a hash that the documented command finds" \
		"^\[pii:[0-9a-f]{8}:$(hash_of "$work/key" ann@example.com)\]\$" "$first"
	assert_match "and so is the token in its message" \
		"\[jwt:[0-9a-f]{8}:$(hash_of "$work/key" "$JWT")\]" "$(newest custody message)"

	cp "$work/key" "$work/key.old"
	echo short >"$work/key.new" && mv "$work/key.new" "$work/key"
	assert_exit "a key that is too short is refused" 65 node custody rules reload
	assert_match "with the way to make one" 'the privacy key has 5 bytes.*head -c 32' "$(cat "$work/err")"
	login_of acme | sent logs-custody 0
	assert_ok "another event is read" node_wait_records custody 30 2
	assert_equal "under the old key" "$first" "$(newest custody user.id)"

	echo "the second key of the drill" >"$work/key.new" && mv "$work/key.new" "$work/key"
	assert_ok "a good one is taken" node custody rules reload
	answer=$(cat "$work/out")
	assert_match "the answer names it" ' 1 bindings and privacy key [0-9a-f]{8} are live' "$answer"
	login_of acme | sent logs-custody 0
	assert_ok "one more is read" node_wait_records custody 30 3
	second=$(newest custody user.id)
	assert_match "under the new key, as the documented command finds" \
		"^\[pii:[0-9a-f]{8}:$(hash_of "$work/key" ann@example.com)\]\$" "$second"
	hash=$(cut -d: -f2 <<<"$second")
	assert_match "which has the name that the answer gave" "privacy key $hash are live" "$answer"
	assert_equal "old events stay what they are, and the old file finds them" 2 \
		"$(node custody search "user.id: \"[pii:$(cut -d: -f2 <<<"$first"):$(hash_of "$work/key.old" \
			ann@example.com)]\"" -o ndjson | wc -l)"
	custody_bindings
	custody_restart "$hash"
	node_stop custody
	mock_stop
}

custody_bindings() {
	echo '- {topic: logs-custody, tenant: [acme]}' >"$work/bindings.yml"
	assert_exit "bindings with a mistake are refused" 65 node custody rules reload
	assert_match "with its place and the word that was meant" \
		'bindings.yml:1:25: unknown key "tenant"; did you mean tenants' "$(cat "$work/err")"
	assert_match "status says so" 'old ones are live: .*bindings.yml:1:25' \
		"$(node_status custody '.problems[]')"
	login_of acme | sent logs-custody 0
	assert_ok "an event is read" node_wait_records custody 30 4
	assert_equal "under the old ones" acme "$(newest custody picket.bound.tenant)"
	echo '- {topic: logs-custody, tenants: [umbrella]}' >"$work/bindings.yml"
	kill -HUP "${e2e_pids[custody]}"
	assert_ok "SIGHUP takes them when they are mended" node_wait custody 10 '.rules.reloads == 2'
	login_of acme | sent logs-custody 0
	assert_ok "the same event is read" node_wait_records custody 30 5
	assert_equal "and is a lie now" "umbrella acme" \
		"$(newest custody tenant.id) $(newest custody picket.claimed.tenant)"
	assert_ok "which is told" node_wait custody 10 '.alerts.total >= 1'
	assert_match "as log.spoof" log.spoof "$(node custody alerts list -o json --limit 99)"
}

custody_restart() { # NAME OF THE KEY
	node_kill custody
	assert_ok "killed, it starts again" node_start custody
	login_of umbrella | sent logs-custody 0
	assert_ok "and reads on" node_wait_records custody 30 6
	assert_match "with the new key" "^\[pii:$1:" "$(newest custody user.id)"
}

part_lists() {
	section "lists and databases change while the daemon runs"
	local cities=${PICKET_DATA:-$e2e_root/../shared/data}/maxmind-test-mmdb/test-data
	echo 203.0.113.9 >"$work/bad-hosts.txt"
	local geo=
	if [ -d "$cities" ]; then
		cp "$cities/GeoLite2-Country-Test.mmdb" "$work/places.mmdb"
		geo="geoip: [$work/places.mmdb], "
	else
		skip "GeoIP databases: $cities (PICKET_DATA) is not there"
	fi
	mock_start logs-lists:1
	node_config lists "$BROKER" logs-lists \
		"enrichment: {${geo}threat_lists: [$work/bad-hosts.txt], reload: 1s}"
	assert_ok "the daemon starts" node_start lists
	lists_see 1 "203.0.113.7 - -" "an address that no list has"
	echo 203.0.113.7 >"$work/new.txt" && mv "$work/new.txt" "$work/bad-hosts.txt"
	assert_ok "a changed list is read" wait_for 15 grep -q "lists reloaded" "$work/lists.log"
	lists_see 2 "203.0.113.7 bad-hosts -" "counts from the next message on"
	head -c 40 /dev/zero >"$work/new.txt" && mv "$work/new.txt" "$work/bad-hosts.txt"
	assert_ok "a list that is none is told" \
		wait_for 15 grep -q "lists not reloaded, the old ones stay" "$work/lists.log"
	lists_see 3 "203.0.113.7 bad-hosts -" "and the old one stays"
	if [ -n "$geo" ]; then
		echo 203.0.113.7 >"$work/new.txt" && mv "$work/new.txt" "$work/bad-hosts.txt"
		assert_ok "a list that is one again is read" wait_for 15 lists_reloaded 2
		lists_see 4 "81.2.69.142 - -" "a database of countries knows no city"
		cp "$cities/GeoLite2-City-Test.mmdb" "$work/new.mmdb" && mv "$work/new.mmdb" "$work/places.mmdb"
		assert_ok "a changed database is read" wait_for 15 lists_reloaded 3
		lists_see 5 "81.2.69.142 - London" "and knows it"
		head -c 20000 "$cities/GeoLite2-City-Test.mmdb" >"$work/new.mmdb" &&
			mv "$work/new.mmdb" "$work/places.mmdb"
		assert_ok "one that was cut is refused" wait_for 15 grep -q "places.mmdb is no sound" "$work/lists.log"
		lists_see 6 "81.2.69.142 - London" "and the old one stays"
	fi
	node_stop lists
	mock_stop
}

lists_reloaded() { [ "$(grep -c "lists reloaded" "$work/lists.log")" -ge "$1" ]; }

lists_see() { # COUNT "ADDRESS LIST CITY" TEXT: one more event, the COUNTth
	printf '{"service.name":"shop","source.ip":"%s"}\n' "${2%% *}" | sent logs-lists 0
	node_wait_records lists 30 "$1" >/dev/null
	assert_equal "$3" "$2" "$(newest lists source.ip) $(newest lists picket.threat.list) $(newest \
		lists source.geo.city_name)"
}

# A07: 40 MiB of one letter are 40 KiB on the wire.
part_bomb() {
	section "A07: a decompression bomb"
	local peak
	mock_start bomb:2
	node_config bomb "$BROKER" bomb
	head -c $((40 << 20)) /dev/zero | tr '\0' A >"$work/bomb.txt"
	{
		echo '{"topic": "bomb", "partition": 0, "value": "{\"message\": \"before\"}"}'
		echo "{\"topic\": \"bomb\", \"partition\": 0, \"file\": \"$work/bomb.txt\"}"
		echo '{"topic": "bomb", "partition": 0, "value": "{\"message\": \"behind\"}"}'
		echo '{"topic": "bomb", "partition": 1, "value": "{\"message\": \"beside\"}"}'
	} >"$work/bomb.ndjson"
	assert_ok "it is sent" produce "$BROKER" --codec gzip <"$work/bomb.ndjson"
	assert_ok "the daemon starts" node_start bomb
	assert_ok "and reads all of it" node_wait_records bomb 60 4
	assert_equal "the bomb is quarantined, what stands around it is stored" "bomb 0 1 0 too_large 3" \
		"$(node_quarantined bomb) $(node_status bomb .records.stored)"
	peak=$(awk '$1 == "VmHWM:" {print int($2 / 1024)}' "/proc/${e2e_pids[bomb]}/status")
	assert_equal "within 600 MiB of memory ($peak MiB)" yes "$([ "$peak" -lt 600 ] && echo yes)"
	node_stop bomb
	mock_stop
}

# One service for each thing that can be wrong with a stream.
doctor_records() {
	local now i
	now=$(date +%s)
	at() { date -u -d "@$(($1))" +%FT%TZ; }
	good='"service.version":"1","event.category":"authentication","event.action":"login",
		"event.outcome":"success","user.id":"u","source.ip":"10.0.0.1","tenant.id":"t",
		"target.tenant.id":"t","http.response.status_code":200'
	for i in $(seq 20); do
		printf '{"service.name":"good","@timestamp":"%s","trace.id":"t%d","event.sequence":%d,%s}\n' \
			"$(at now-60+i)" "$i" "$i" "$(tr -d '\n\t' <<<"$good")"
		case $i in 7 | 8) ;; *) printf '{"service.name":"gaps","@timestamp":"%s","event.sequence":%d}\n' \
			"$(at now-60+i)" "$i" ;; esac
		printf '{"service.name":"ahead","@timestamp":"%s","message":"m%d"}\n' "$(at now+120+i)" "$i"
		printf '{"service.name":"twice","@timestamp":"%s","message":"m%d"}\n' "$(at now-60+i/2)" $((i / 2))
	done
	for i in $(seq 0 5); do
		for _ in $(seq 101); do
			printf '{"service.name":"sampled","@timestamp":"%s","message":"tick"}\n' "$(at now-60+i)"
		done
	done
}

part_doctor() {
	section "the doctor at a topic"
	local jq_row='"\(.service) \(.missing) \(.duplicates > 0) \(.sampled) \(.unbound > 0) \(.gate.ready)"'
	mock_start logs-doctor:1
	printf -- '- {topic: logs-doctor, key: known, tenants: [t]}\n' >"$work/doctor-bindings.yml"
	node_config doctor "$BROKER" logs-doctor
	doctor_records | jq -c '{topic: "logs-doctor", partition: 0, value: tojson} +
		if ."service.name" == "good" then {key: "known"} else {} end' >"$work/doctor.ndjson"
	assert_ok "logs of five services are sent" produce "$BROKER" <"$work/doctor.ndjson"
	assert_ok "the doctor reads the topic to its end" "$picket" doctor --topic logs-doctor \
		-c "$work/doctor.yaml" --rules "$e2e_root/rules/packs" --bindings "$work/doctor-bindings.yml" -o ndjson
	assert_equal "what is missing, equal, sampled, unbound, and fit for the gate" \
"ahead 0 false false true false
gaps 2 false false true false
good 0 false false false true
sampled 0 true true true false
twice 0 true false true false" "$(jq -r "$jq_row" "$work/out" | sort)"
	assert_equal "the clock that is ahead" ahead \
		"$(jq -r 'select(.ahead_ms > 60000) | .service' "$work/out")"
	assert_equal "bytes per second of each" true "$(jq -s 'map(.bytes_per_second > 0) | all' "$work/out")"
	assert_match "each with what is to be done" "set up NTP on its node" \
		"$(jq -r 'select(.service == "ahead") | .advice[]' "$work/out")"
	assert_match "the worst is told first" '^(ahead|gaps|sampled|twice)$' \
		"$(head -n 1 "$work/out" | jq -r .service)"
	assert_exit "a service below --min ends with 1" 1 "$picket" doctor --topic logs-doctor \
		-c "$work/doctor.yaml" --min 90
	assert_exit "a part of it ends before its end, and says so" 0 "$picket" doctor --topic logs-doctor \
		-c "$work/doctor.yaml" --messages 10
	assert_match "with how far it came" "stopped after 10 messages" "$(cat "$work/err")"
	assert_exit "a topic that is not there is no clean bill of health" 2 "$picket" doctor \
		--topic logs-docter -c "$work/doctor.yaml"
	assert_match "it says so" "no message was read|does not exist|is not there" "$(cat "$work/err")"
	mock_stop
}

# Everything the webhook was sent goes back into the topic, as a bridge to Kafka would put it there.
loop_bridge() { # LINES THAT WENT BACK BEFORE
	tail -n +"$(($1 + 1))" "$work/webhook.log" |
		jq -Rc '{"service.name": "alerts", schema: "picket.alert/1", message: .}' | sent logs-loop 0
}

# A44: an alert that matches the rule that raised it. Nothing is refused for looking like an alert:
# that would be a cloak for whoever writes logs. It comes to rest because what goes on is one alert.
part_loop() {
	section "A44: alerts come back as logs"
	local back=0 now first
	mkdir -p "$work/loop-rules"
	cat >"$work/loop-rules/loop.yml" <<-YAML
	title: Says alert
	id: 7d1d1f5e-6a6e-4f3e-8c55-0a4b1f0f6e44
	logsource: {product: microservice}
	detection: {selection: {service.name: alerts}, condition: selection}
	level: high
	YAML
	mock_start logs-loop:1
	: >"$work/webhook.log"
	webhook_start
	echo $WEBHOOK_SECRET >"$work/loop.secret"
	node_config loop "$BROKER" logs-loop "rules: {paths: [$work/loop-rules]}
lateness: 1s
receivers: {webhook: {url: 'http://127.0.0.1:$(cat "$work/webhook.port")/', secret_file: $work/loop.secret}}"
	assert_ok "the daemon starts" node_start loop
	echo '{"service.name": "alerts", "message": "the first of all"}' | sent logs-loop 0
	assert_ok "the first alert is told" wait_for 15 grep -q . "$work/webhook.log"
	for _ in $(seq 16); do
		now=$(wc -l <"$work/webhook.log")
		[ "$now" -gt $back ] && loop_bridge $back
		back=$now
		sleep 0.5
	done
	first=$(wc -l <"$work/webhook.log")
	assert_equal "eight seconds of feeding back are two messages at most ($first)" yes \
		"$([ "$first" -ge 1 ] && [ "$first" -le 2 ] && echo yes)"
	assert_equal "of one alert" 1 "$(node loop alerts list --state all -o json --limit 99 |
		jq '[.alerts[] | select(.rule.title == "Says alert")] | length')"
	assert_equal "which has seen what came back" true "$(node loop alerts list --state all -o json \
		--limit 99 | jq '[.alerts[] | select(.rule.title == "Says alert")][0].count >= 2')"
	node_stop loop
	webhook_stop
	mock_stop
}
