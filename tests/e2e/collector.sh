# shellcheck shell=bash
# A real OpenTelemetry Collector for the end-to-end tests: the receiver of OTLP and the exporter to
# Kafka, put together by the project's own builder from the Go module proxy. Source it.
#
#   collector_fetch           the program in the cache, made when PICKET_TEST_COLLECTOR=build (it costs
#                             minutes of processor the first time); 1 with the reason when it is not
#                             to be had
#   collector_start CONFIG    starts it with a configuration and waits until $COLLECTOR_PORT answers
#   real_collector            the section of tests/e2e/real.sh
#
# The checksum database vouches for every module: nothing of it is in this tree.

COLLECTOR_VERSION=${COLLECTOR_VERSION:-0.155.0}
COLLECTOR_STABLE=${COLLECTOR_STABLE:-1.61.0} # the same release, of modules that are stable
COLLECTED=500 # records that are sent through it
collector_cache=${XDG_CACHE_HOME:-$HOME/.cache}/picket-collector/$COLLECTOR_VERSION

collector_fetch() {
	local core=go.opentelemetry.io/collector log=$collector_cache/build.log
	[ -x "$collector_cache/otelcol" ] && return 0
	[ "${PICKET_TEST_COLLECTOR:-}" = build ] ||
		{ echo "it is not built yet (./dev test --long, or PICKET_TEST_COLLECTOR=build)"; return 1; }
	command -v go >/dev/null || { echo "no go (Debian: golang-go 1.25 or later)"; return 1; }
	mkdir -p "$collector_cache" || return 1
	cat >"$collector_cache/builder.yaml" <<-YAML
	dist: {name: otelcol, version: $COLLECTOR_VERSION, output_path: $collector_cache/build}
	receivers: [{gomod: $core/receiver/otlpreceiver v$COLLECTOR_VERSION}]
	exporters:
	    - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter v$COLLECTOR_VERSION
	providers:
	    - gomod: $core/confmap/provider/fileprovider v$COLLECTOR_STABLE
	    - gomod: $core/confmap/provider/envprovider v$COLLECTOR_STABLE
	YAML
	(cd "$collector_cache" && timeout 1800 nice -n 19 \
		go run "$core/cmd/builder@v$COLLECTOR_VERSION" --config builder.yaml) >"$log" 2>&1 ||
		{ echo "it could not be built; see $log"; return 1; }
	mv "$collector_cache/build/otelcol" "$collector_cache/otelcol"
}

collector_start() {
	"$collector_cache/otelcol" --config "$1" >>"$work/collector.log" 2>&1 &
	e2e_pids[collector]=$!
	wait_for 30 bash -c ": </dev/tcp/127.0.0.1/$COLLECTOR_PORT" 2>/dev/null
}

write_collector_config() { # TOPIC: its messages go to TOPIC-otlp_proto and TOPIC-otlp_json
	local encoding
	echo "receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:$COLLECTOR_PORT'}}}}"
	echo "exporters:"
	for encoding in otlp_proto otlp_json; do
		echo "    kafka/$encoding: {brokers: ['$KAFKA'], logs: {topic: $1-$encoding, encoding: $encoding}}"
	done
	cat <<-YAML
	service:
	    telemetry: {metrics: {level: none}}
	    pipelines: {logs: {receivers: [otlp], exporters: [kafka/otlp_proto, kafka/otlp_json]}}
	YAML
}

real_collector() {
	local topic=otel-$run encoding why
	section "a real OpenTelemetry Collector writes to Kafka"
	why=$(collector_fetch) || { skip "no OpenTelemetry Collector $COLLECTOR_VERSION: $why"; return; }
	make_topic "$topic-otlp_proto" 1
	make_topic "$topic-otlp_json" 1
	COLLECTOR_PORT=$(kafka_free_ports 1)
	write_collector_config "$topic" >"$work/collector.yaml"
	collector_start "$work/collector.yaml" ||
		{ fail "the collector starts" "$(tail -n 5 "$work/collector.log")"; return; }
	node_config otel - - "$(kafka_yaml "$KAFKA" "$topic-otlp_proto, $topic-otlp_json" earliest)"
	node_start otel || { fail "the daemon starts"; return; }
	python3 tests/e2e/collector.py send "http://127.0.0.1:$COLLECTOR_PORT/v1/logs" "$COLLECTED" \
		>"$work/collected" || fail "the collector takes what it is sent"
	node_wait_records otel 60 $((2 * COLLECTED)) >/dev/null
	assert_equal "each record came once in each encoding, none was quarantined" "$((2 * COLLECTED)) 0" \
		"$(node_status otel '.records | "\(.stored) \(.quarantined)"')"
	for encoding in otlp_proto otlp_json; do
		node otel events list --topic "$topic-$encoding" --limit $E2E_LIST_MAX -o ndjson |
			python3 tests/e2e/collector.py events >"$work/$encoding"
		assert_equal "$encoding: every field of every event is what was sent" "$COLLECTED same" \
			"$(wc -l <"$work/$encoding") $(diff "$work/collected" "$work/$encoding" >"$work/differ" &&
				echo same || sed -n "2p;/^---/,+1p" "$work/differ" | head -n 3)"
	done
	assert_equal "both were recognised by themselves" "otlp" "$(node otel sources list -o json |
		jq -r '[.sources[].formats | keys[]] | unique | join(" ")')"
	node_stop otel
	kill "${e2e_pids[collector]}"
	wait "${e2e_pids[collector]}" 2>/dev/null
	unset 'e2e_pids[collector]'
}
