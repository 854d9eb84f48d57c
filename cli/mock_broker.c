/* picket-mock-broker: librdkafka's mock cluster as a process of its own.
 *
 * Why: the demo and many tests need a broker that is there at once, without Java, and that outlives
 * the picket that is being killed. It speaks the real protocol over TCP; it is not a Kafka. */
#include <assert.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	EXIT_USAGE = 64,
	EXIT_INTERNAL = 70,
	PARTITIONS_MAX = 1024,
	BROKERS_MAX = 9,
	COMMAND_BYTES_MAX = 512,
	FAILURES_MAX = 1000, /* fetches of one command */
	API_FETCH = 1,       /* of Kafka's protocol */
};

struct arguments {
	const char *topics;
	const char *port_file;
	int broker_count;
	bool with_parent, commands;
};

static const char help[] =
	"usage: picket-mock-broker [--topics NAME:PARTITIONS,...] [--brokers N] [--port-file FILE]\n"
	"                          [--with-parent] [--commands]\n"
	"\n"
	"A mock Kafka broker (librdkafka's mock cluster) on a free port of 127.0.0.1. Ends on SIGTERM\n"
	"or SIGINT.\n"
	"\n"
	"  --topics LIST     topics to make at the start; others are made when they are first used,\n"
	"                    with 4 partitions\n"
	"  --brokers N       so many brokers, 1 to 9, called 1, 2, ...; the port is the last one's\n"
	"  --port-file FILE  the port is written there as soon as the broker answers\n"
	"  --with-parent     ends also when its standard input is closed\n"
	"  --commands        makes trouble as the lines of standard input say:\n"
	"                        rtt BROKER MS           its answers take so long\n"
	"                        down BROKER             it breaks its connections and takes none\n"
	"                        up BROKER               it takes them again\n"
	"                        leader TOPIC PARTITION BROKER\n"
	"                                                the partition moves there; -1: nowhere\n"
	"                        fail-fetches N          so many fetches are answered with\n"
	"                                                NOT_LEADER_OR_FOLLOWER\n"
	"\n"
	"It is not a Kafka. What it holds is in memory only and gone when it ends; it keeps the last\n"
	"5 MiB or 100,000 batches of each partition and drops older ones without a word; it has no TLS,\n"
	"no authentication, no transactions, no look-up of offsets by time (start: -7d finds nothing),\n"
	"and no way to make topics or partitions from outside.\n"
	"\n"
	"example: picket-mock-broker --topics logs-auth:2,logs-orders:3 --port-file /tmp/port\n";

static int usage(const char *problem)
{
	(void)fprintf(stderr, "picket-mock-broker: %s\n%s", problem, help);
	return EXIT_USAGE;
}

/* Makes the topics of "name:partitions,name". False when the list is not well formed. */
static bool make_topics(rd_kafka_mock_cluster_t *cluster, const char *list)
{
	char *copy = strdup(list);
	bool good = copy != NULL;
	char *rest = copy;
	for (char *name = good ? strsep(&rest, ",") : NULL; good && name != NULL;
	     name = strsep(&rest, ",")) {
		char *colon = strchr(name, ':');
		char *end = NULL;
		long partitions = 1;
		if (colon != NULL) {
			*colon = '\0';
			partitions = strtol(colon + 1, &end, 10);
		}
		good = name[0] != '\0' && partitions > 0 && partitions <= PARTITIONS_MAX &&
		       (end == NULL || (end != colon + 1 && *end == '\0')) &&
		       rd_kafka_mock_topic_create(cluster, name, (int)partitions, 1) ==
			       RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	free(copy);
	return good;
}

/* Written beside and renamed, so that a reader never sees half a number. */
static bool write_port(const char *path, const char *port)
{
	char beside[4096];
	if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
		return false;
	FILE *file = fopen(beside, "we");
	if (file == NULL)
		return false;
	bool good = fprintf(file, "%s\n", port) > 0;
	good = fclose(file) == 0 && good;
	return good && rename(beside, path) == 0;
}

static rd_kafka_resp_err_t fail_fetches(rd_kafka_mock_cluster_t *cluster, int count)
{
	rd_kafka_resp_err_t errors[FAILURES_MAX];
	if (count < 0 || count > FAILURES_MAX)
		return RD_KAFKA_RESP_ERR__INVALID_ARG;
	for (int i = 0; i < count; i++)
		errors[i] = RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
	rd_kafka_mock_push_request_errors_array(cluster, API_FETCH, (size_t)count, errors);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* One line of standard input. What it is not is told; a test would wait for it in vain. */
static void obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	char topic[256];
	int number = 0;
	int broker = 0;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__INVALID_ARG;
	if (sscanf(line, "rtt %d %d", &broker, &number) == 2)
		code = rd_kafka_mock_broker_set_rtt(cluster, broker, number);
	else if (sscanf(line, "down %d", &broker) == 1)
		code = rd_kafka_mock_broker_set_down(cluster, broker);
	else if (sscanf(line, "up %d", &broker) == 1)
		code = rd_kafka_mock_broker_set_up(cluster, broker);
	else if (sscanf(line, "leader %255s %d %d", topic, &number, &broker) == 3)
		code = rd_kafka_mock_partition_set_leader(cluster, topic, number, broker);
	else if (sscanf(line, "fail-fetches %d", &number) == 1)
		code = fail_fetches(cluster, number);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		(void)fprintf(stderr, "picket-mock-broker: \"%s\" is no command: %s\n", line,
			      rd_kafka_err2str(code));
}

/* A line that grows until it is whole. */
struct command {
	char bytes[COMMAND_BYTES_MAX];
	size_t size;
};

/* False at the end of standard input. */
static bool read_commands(rd_kafka_mock_cluster_t *cluster, struct command *command, bool obeys)
{
	char input[COMMAND_BYTES_MAX];
	ssize_t size = read(STDIN_FILENO, input, sizeof input);
	for (ssize_t i = 0; i < size && obeys; i++) {
		if (input[i] != '\n' && command->size < sizeof command->bytes - 1) {
			command->bytes[command->size++] = input[i];
			continue;
		}
		command->bytes[command->size] = '\0';
		command->size = 0;
		obey(cluster, command->bytes);
	}
	return size > 0;
}

/* Until somebody asks it to end. */
static void wait_for_end(rd_kafka_mock_cluster_t *cluster, const sigset_t *signals,
			 const struct arguments *arguments)
{
	struct command command = {0};
	bool listens = arguments->with_parent || arguments->commands;
	int asked = signalfd(-1, signals, SFD_CLOEXEC);
	assert(asked >= 0);
	struct pollfd waits[2] = {{.fd = asked, .events = POLLIN},
				  {.fd = listens ? STDIN_FILENO : -1, .events = POLLIN}};
	for (;;) {
		if (poll(waits, 2, -1) < 0)
			continue;
		if (waits[0].revents != 0)
			break;
		if (waits[1].revents == 0 || read_commands(cluster, &command, arguments->commands))
			continue;
		if (arguments->with_parent)
			break;
		waits[1].fd = -1;
	}
	(void)close(asked);
}

static int serve(const struct arguments *arguments, const sigset_t *signals)
{
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, NULL);
	rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
	if (client == NULL) {
		(void)fprintf(stderr, "picket-mock-broker: %s\n", why);
		return EXIT_INTERNAL;
	}
	int code = EXIT_SUCCESS;
	rd_kafka_mock_cluster_t *cluster =
		rd_kafka_mock_cluster_new(client, arguments->broker_count);
	const char *address = cluster == NULL ? NULL : rd_kafka_mock_cluster_bootstraps(cluster);
	const char *port = address == NULL ? NULL : strrchr(address, ':');
	if (port == NULL) {
		(void)fprintf(stderr, "picket-mock-broker: no port could be opened\n");
		code = EXIT_INTERNAL;
	} else if (arguments->topics != NULL && !make_topics(cluster, arguments->topics)) {
		code = usage("--topics wants NAME:PARTITIONS,...");
	} else if (arguments->port_file != NULL && !write_port(arguments->port_file, port + 1)) {
		(void)fprintf(stderr, "picket-mock-broker: %s cannot be written: %m\n",
			      arguments->port_file);
		code = EXIT_INTERNAL;
	} else {
		(void)printf("mock Kafka broker (librdkafka mock cluster) on 127.0.0.1:%s - not a "
			     "real Kafka; join with: kcat -b 127.0.0.1:%s -L\n",
			     port + 1, port + 1);
		(void)fflush(stdout);
		wait_for_end(cluster, signals, arguments);
	}
	if (cluster != NULL)
		rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(client);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"topics", required_argument, NULL, 't'},
						{"port-file", required_argument, NULL, 'p'},
						{"brokers", required_argument, NULL, 'b'},
						{"with-parent", no_argument, NULL, 'w'},
						{"commands", no_argument, NULL, 'c'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct arguments arguments = {.broker_count = 1};
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (option == 't')
			arguments.topics = optarg;
		else if (option == 'p')
			arguments.port_file = optarg;
		else if (option == 'w')
			arguments.with_parent = true;
		else if (option == 'c')
			arguments.commands = true;
		else if (option == 'b')
			arguments.broker_count = atoi(optarg);
		else if (option == 'h')
			return fputs(help, stdout) < 0 ? EXIT_INTERNAL : EXIT_SUCCESS;
		else
			return usage("unknown option");
	}
	if (arguments.broker_count < 1 || arguments.broker_count > BROKERS_MAX)
		return usage("--brokers wants a number from 1 to 9");
	if (optind < argc)
		return usage("it takes no arguments, only options");
	/* Blocked before the first thread starts, so that every thread inherits it. */
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	return serve(&arguments, &signals);
}
