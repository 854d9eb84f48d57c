#!/bin/sh
# A real Apache Kafka for the end-to-end tests: one KRaft node on free ports of 127.0.0.1.
#
# Source it and call the functions, or run it: tests/e2e/kafka.sh start DIR | stop DIR | check
#
#   kafka_fetch                    gets the jars through Maven into the cache (outside the tree);
#                                  1 when they can not be had
#   kafka_start DIR [plain|secure] formats DIR when it is new, starts, waits until it answers; sets
#                                  KAFKA (PLAINTEXT host:port) and, when secure, KAFKA_SASL
#                                  (SASL_SSL, SCRAM-SHA-256) and KAFKA_MTLS (SSL, client certificate)
#   kafka_stop DIR [KILL]          stops it (SIGTERM; or SIGKILL); its data stay: start again goes on,
#                                  on the same ports
#   kafka_topic NAME PARTITIONS [CONFIG...]   kafka_add_partitions NAME COUNT
#   kafka_delete_records TOPIC PARTITION OFFSET    moves the start of the log to OFFSET
#
# A secure start leaves in DIR/tls: ca.pem, client.pem, client.key (for mTLS), secret (the password
# of user "picket"). Everything in DIR is thrown-away material of a test.

KAFKA_VERSION=${KAFKA_VERSION:-3.9.1}
kafka_cache=${XDG_CACHE_HOME:-$HOME/.cache}/picket-kafka/$KAFKA_VERSION
KAFKA_HEAP=${KAFKA_HEAP:--Xms256m -Xmx512m}

kafka_say() { echo "kafka: $*" >&2; }

kafka_fetch() {
	[ -e "$kafka_cache/complete" ] && return 0
	command -v java >/dev/null || { kafka_say "no java (Debian: openjdk-17-jre-headless)"; return 1; }
	command -v mvn >/dev/null || { kafka_say "no mvn (Debian: maven)"; return 1; }
	mkdir -p "$kafka_cache" || return 1
	cat >"$kafka_cache/pom.xml" <<-POM
	<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
	<groupId>picket</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
	<dependencies>
	<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
	<version>$KAFKA_VERSION</version></dependency>
	<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId>
	<version>$KAFKA_VERSION</version></dependency>
	</dependencies></project>
	POM
	if ! (cd "$kafka_cache" && timeout 600 mvn -q -B dependency:copy-dependencies \
		-DoutputDirectory="$kafka_cache/lib" >"$kafka_cache/mvn.log" 2>&1); then
		kafka_say "Maven could not fetch it; see $kafka_cache/mvn.log"
		return 1
	fi
	cat >"$kafka_cache/log4j.properties" <<-LOG
	log4j.rootLogger=WARN, stderr
	log4j.appender.stderr=org.apache.log4j.ConsoleAppender
	log4j.appender.stderr.target=System.err
	log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
	log4j.appender.stderr.layout.ConversionPattern=%d %p %m (%c)%n
	LOG
	touch "$kafka_cache/complete"
}

kafka_java() {
	# shellcheck disable=SC2086
	java $KAFKA_HEAP -XX:+UseSerialGC "-Dlog4j.configuration=file:$kafka_cache/log4j.properties" \
		-cp "$kafka_cache/lib/*" "$@"
}

# Free ports: asked from the kernel, which does not give the same one again at once.
kafka_free_ports() {
	python3 -c 'import socket,sys
s=[socket.socket() for _ in range(int(sys.argv[1]))]
[x.bind(("127.0.0.1",0)) for x in s]
print(*[x.getsockname()[1] for x in s])' "$1"
}

# A certificate authority, a server and a client certificate, as PEM and as what Java wants.
kafka_make_tls() {
	tls=$1
	mkdir -p "$tls"
	(
		cd "$tls" || exit 1
		umask 077
		openssl rand -hex 16 >secret
		pass=$(cat secret)
		openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=picket-test-ca \
			-keyout ca.key -out ca.pem
		printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >server.ext
		printf 'extendedKeyUsage=clientAuth\n' >client.ext
		for who in server client; do
			openssl req -newkey rsa:2048 -nodes -subj "/CN=picket-test-$who" \
				-keyout $who.key -out $who.csr
			openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
				-days 30 -extfile $who.ext -out $who.pem
		done
		openssl pkcs12 -export -in server.pem -inkey server.key -certfile ca.pem \
			-name server -out server.p12 -passout "pass:$pass"
		keytool -importcert -noprompt -alias ca -file ca.pem -keystore trust.p12 \
			-storetype PKCS12 -storepass "$pass"
	) >"$tls/log" 2>&1 || { kafka_say "no certificates; see $tls/log"; return 1; }
}

kafka_write_config() {
	dir=$1 plain=$2 controller=$3 sasl=$4 mtls=$5
	listeners=PLAINTEXT://127.0.0.1:$plain
	map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
	if [ -n "$sasl" ]; then
		listeners=$listeners,SASL_SSL://127.0.0.1:$sasl,MTLS://127.0.0.1:$mtls
		map=$map,SASL_SSL:SASL_SSL,MTLS:SSL
	fi
	cat >"$dir/server.properties" <<-CONFIG
	process.roles=broker,controller
	node.id=1
	controller.quorum.voters=1@127.0.0.1:$controller
	listeners=$listeners,CONTROLLER://127.0.0.1:$controller
	advertised.listeners=$listeners
	inter.broker.listener.name=PLAINTEXT
	controller.listener.names=CONTROLLER
	listener.security.protocol.map=$map
	log.dirs=$dir/log
	auto.create.topics.enable=false
	offsets.topic.replication.factor=1
	offsets.topic.num.partitions=4
	transaction.state.log.replication.factor=1
	transaction.state.log.min.isr=1
	transaction.state.log.num.partitions=4
	group.initial.rebalance.delay.ms=0
	log.retention.check.interval.ms=2000
	CONFIG
	[ -n "$sasl" ] || return 0
	pass=$(cat "$dir/tls/secret")
	cat >>"$dir/server.properties" <<-CONFIG
	ssl.keystore.location=$dir/tls/server.p12
	ssl.keystore.password=$pass
	ssl.key.password=$pass
	ssl.keystore.type=PKCS12
	ssl.truststore.location=$dir/tls/trust.p12
	ssl.truststore.password=$pass
	ssl.truststore.type=PKCS12
	listener.name.mtls.ssl.client.auth=required
	sasl.enabled.mechanisms=SCRAM-SHA-256
	listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
	CONFIG
}

kafka_format() {
	dir=$1 secure=$2
	mkdir -p "$dir" || return 1
	# shellcheck disable=SC2046
	set -- $(kafka_free_ports 4)
	if [ "$secure" = secure ]; then
		kafka_make_tls "$dir/tls" || return 1
		kafka_write_config "$dir" "$1" "$2" "$3" "$4"
		scram="SCRAM-SHA-256=[name=picket,password=$(cat "$dir/tls/secret")]"
	else
		kafka_write_config "$dir" "$1" "$2" "" ""
		scram=
	fi
	id=$(kafka_java kafka.tools.StorageTool random-uuid 2>>"$dir/format.log") || return 1
	kafka_java kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" \
		${scram:+--add-scram "$scram"} >>"$dir/format.log" 2>&1 ||
		{ kafka_say "format failed; see $dir/format.log"; return 1; }
	echo "127.0.0.1:$1" >"$dir/plain"
	[ "$secure" = secure ] || return 0
	echo "127.0.0.1:$3" >"$dir/sasl"
	echo "127.0.0.1:$4" >"$dir/mtls"
}

kafka_start() {
	dir=$1
	kafka_fetch || return 1
	[ -e "$dir/plain" ] || kafka_format "$dir" "${2:-plain}" || return 1
	KAFKA=$(cat "$dir/plain")
	KAFKA_SASL=$(cat "$dir/sasl" 2>/dev/null)
	KAFKA_MTLS=$(cat "$dir/mtls" 2>/dev/null)
	# shellcheck disable=SC2086
	setsid java $KAFKA_HEAP -XX:+UseSerialGC \
		"-Dlog4j.configuration=file:$kafka_cache/log4j.properties" -cp "$kafka_cache/lib/*" kafka.Kafka "$dir/server.properties" \
		>>"$dir/server.log" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	for _ in $(seq 120); do
		kill -0 "$(cat "$dir/pid")" 2>/dev/null || { kafka_say "it ended; see $dir/server.log"; return 1; }
		kcat -b "$KAFKA" -L -m 1 >/dev/null 2>&1 && return 0
		sleep 0.5
	done
	kafka_say "it does not answer on $KAFKA; see $dir/server.log"
	return 1
}

kafka_stop() {
	pid=$(cat "$1/pid" 2>/dev/null) || return 0
	kill -"${2:-TERM}" "$pid" 2>/dev/null
	for _ in $(seq 60); do
		kill -0 "$pid" 2>/dev/null || { rm -f "$1/pid"; return 0; }
		sleep 0.5
	done
	kill -KILL "$pid" 2>/dev/null
	rm -f "$1/pid"
}

kafka_topic() {
	name=$1 partitions=$2
	shift 2
	config=
	for one; do config="$config --config $one"; done
	# shellcheck disable=SC2086
	kafka_java org.apache.kafka.tools.TopicCommand --bootstrap-server "$KAFKA" --create \
		--topic "$name" --partitions "$partitions" --replication-factor 1 $config >/dev/null
}

kafka_add_partitions() {
	kafka_java org.apache.kafka.tools.TopicCommand --bootstrap-server "$KAFKA" --alter \
		--topic "$1" --partitions "$2" >/dev/null
}

kafka_delete_records() {
	file=$(mktemp)
	printf '{"partitions":[{"topic":"%s","partition":%d,"offset":%d}],"version":1}' "$1" "$2" "$3" >"$file"
	kafka_java org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$KAFKA" \
		--offset-json-file "$file" >/dev/null
	code=$?
	rm -f "$file"
	return $code
}

# In, out, restart, and in and out through both secure listeners.
kafka_check() {
	dir=$(mktemp -d) || return 1
	trap 'kafka_stop "$dir"; rm -rf "$dir"' EXIT
	kafka_start "$dir" secure && kafka_topic check 1 || return 1
	echo one | kcat -P -b "$KAFKA" -t check || return 1
	echo two | kcat -P -b "$KAFKA_SASL" -t check -X security.protocol=SASL_SSL \
		-X sasl.mechanisms=SCRAM-SHA-256 -X sasl.username=picket \
		-X sasl.password="$(cat "$dir/tls/secret")" -X ssl.ca.location="$dir/tls/ca.pem" || return 1
	echo three | kcat -P -b "$KAFKA_MTLS" -t check -X security.protocol=SSL \
		-X ssl.ca.location="$dir/tls/ca.pem" -X ssl.certificate.location="$dir/tls/client.pem" \
		-X ssl.key.location="$dir/tls/client.key" || return 1
	kafka_stop "$dir"
	kafka_start "$dir" && kafka_add_partitions check 2 || return 1
	got=$(kcat -C -q -b "$KAFKA" -t check -p 0 -o beginning -e | tr '\n' ' ')
	[ "$got" = "one two three " ] || { kafka_say "came out: $got"; return 1; }
	kafka_delete_records check 0 2 || return 1
	got=$(kcat -C -q -b "$KAFKA" -t check -p 0 -o beginning -e | tr '\n' ' ')
	[ "$got" = "three " ] || { kafka_say "after deletion came out: $got"; return 1; }
	kafka_say "Apache Kafka $KAFKA_VERSION works: plain, SASL_SSL with SCRAM, mTLS, restart"
}

case "${0##*/}:${1:-}" in
kafka.sh:start) kafka_start "$2" "${3:-plain}" && echo "KAFKA=$KAFKA KAFKA_SASL=$KAFKA_SASL KAFKA_MTLS=$KAFKA_MTLS" ;;
kafka.sh:stop) kafka_stop "$2" "${3:-TERM}" ;;
kafka.sh:check) kafka_check ;;
esac
