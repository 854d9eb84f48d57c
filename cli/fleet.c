/* picket-fleet: plays the simulated microservices of the demo into a Kafka broker.
 *
 * Why: the demo needs seven minutes of a fleet's life within a minute. Event times run from some
 * minutes ago up to now and are sent faster than they happened; then it goes on in real time, so
 * that the canaries stay alive while somebody looks at them. What was sent is counted by what the
 * broker acknowledged, and written to a report that tests compare with what picket stored. */
#include <assert.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/fleet_log.h"

enum {
	EXIT_USAGE = 64,
	EXIT_UNREACHABLE = 69,
	EXIT_INTERNAL = 70,
	PACE_MS = 20,
	FLUSH_MS = 15000,
	PROGRESS_S = 5,
};

struct arguments {
	const char *bootstrap, *report;
	uint64_t seed;
	double start_ago_s, duration_s, live_s; /* live_s < 0: until told to stop */
	bool quiet;
};

struct count {
	uint64_t sent, delivered, failed, bytes;
};

struct fleet {
	const struct arguments *arguments;
	rd_kafka_t *producer;
	struct fleet_scene *scene;
	struct bytes line;
	int64_t anchor_us;
	struct count counts[FLEET_SERVICES][FLEET_PARTITIONS_MAX];
	uint64_t bad;
	sigset_t signals; /* that ask us to stop; blocked, and waited for while pacing */
	bool stopping;
	bool played; /* history is through */
	char problem[512];
};

static const char help[] =
	"usage: picket-fleet --bootstrap HOST:PORT [options]\n"
	"       picket-fleet --print-topics\n"
	"\n"
	"Plays a simulated fleet of six services into a Kafka broker: normal traffic, a brute force, a\n"
	"spraying, a cross-tenant read, three canaries, some broken records.\n"
	"\n"
	"  --bootstrap B     the broker\n"
	"  --seed N          another fleet of the same kind (default 1)\n"
	"  --start-ago D     how much history to play (default 7m; the incidents need 5m)\n"
	"  --duration D      in how much time to play it (default 40s)\n"
	"  --speed S         the same as a factor: start-ago / duration\n"
	"  --live-for D      then go on in real time for so long (default: until told to stop)\n"
	"  --report FILE     what was sent, as JSON: after the history, and again at the end\n"
	"  --quiet           no progress on standard error\n"
	"  --print-topics    the topics as picket-mock-broker --topics takes them\n"
	"\n"
	"example: picket-fleet --bootstrap 127.0.0.1:9092 --duration 40s --live-for 20s --report r.json\n";

static int usage(const char *problem)
{
	(void)fprintf(stderr, "picket-fleet: %s\n%s", problem, help);
	return EXIT_USAGE;
}

static int64_t wall_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* "90", "90s", "7m", "1h". */
static bool parse_duration(const char *text, double *ret_seconds)
{
	char *end = NULL;
	double value = strtod(text, &end);
	if (end == text || !(value >= 0) || value > 1e6)
		return false;
	double unit = *end == 'm' ? 60 : (*end == 'h' ? 3600 : 1);
	if (*end != '\0' && (strchr("smh", *end) == NULL || end[1] != '\0'))
		return false;
	*ret_seconds = value * unit;
	return true;
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
	(void)producer;
	struct fleet *fleet = opaque;
	struct count *count = message->_private;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		count->delivered++;
		return;
	}
	count->failed++;
	(void)snprintf(fleet->problem, sizeof fleet->problem, "%s", rd_kafka_err2str(message->err));
}

static enum status send_event(void *context, const struct fleet_event *event)
{
	struct fleet *fleet = context;
	char instance[64];
	fleet_log(event, fleet->anchor_us, &fleet->line);
	fleet_instance(event, instance);
	if (bytes_status(&fleet->line) != OK)
		return ENOMEMORY;
	size_t service = (size_t)(event->service - fleet_services);
	struct count *count = &fleet->counts[service][event->partition];
	for (;;) {
		rd_kafka_resp_err_t code = rd_kafka_producev(
			fleet->producer, RD_KAFKA_V_TOPIC(event->service->topic),
			RD_KAFKA_V_PARTITION(event->partition),
			RD_KAFKA_V_KEY(instance, strlen(instance)),
			RD_KAFKA_V_VALUE(fleet->line.size == 0 ? (void *)"" : fleet->line.data,
					 fleet->line.size),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(count),
			RD_KAFKA_V_END);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
			break;
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			(void)snprintf(fleet->problem, sizeof fleet->problem, "%s",
				       rd_kafka_err2str(code));
			return EUNAVAILABLE;
		}
		(void)rd_kafka_poll(fleet->producer, PACE_MS);
	}
	count->sent++;
	count->bytes += fleet->line.size + strlen(instance);
	fleet->bad += event->kind >= FLEET_BAD_JSON;
	return OK;
}

static struct count total(const struct fleet *fleet)
{
	struct count sum = {0};
	for (int i = 0; i < FLEET_SERVICES; i++) {
		for (int k = 0; k < fleet_services[i].partitions; k++) {
			const struct count *count = &fleet->counts[i][k];
			sum.sent += count->sent;
			sum.delivered += count->delivered;
			sum.failed += count->failed;
			sum.bytes += count->bytes;
		}
	}
	return sum;
}

static void report_topics(const struct fleet *fleet, FILE *file)
{
	(void)fprintf(file, "\"topics\":{");
	for (int i = 0; i < FLEET_SERVICES; i++) {
		(void)fprintf(file, "%s\"%s\":[", i == 0 ? "" : ",", fleet_services[i].topic);
		for (int k = 0; k < fleet_services[i].partitions; k++) {
			const struct count *count = &fleet->counts[i][k];
			(void)fprintf(file,
				      "%s{\"partition\":%d,\"messages\":%llu,\"failed\":%llu,"
				      "\"bytes\":%llu}",
				      k == 0 ? "" : ",", k, (unsigned long long)count->delivered,
				      (unsigned long long)count->failed,
				      (unsigned long long)count->bytes);
		}
		(void)fprintf(file, "]");
	}
	(void)fprintf(file, "},\n");
}

static void report_canaries(FILE *file)
{
	const char *between = "";
	(void)fprintf(file, "\"canaries\":[");
	for (int i = 0; i < FLEET_SERVICES; i++) {
		const struct fleet_service *service = &fleet_services[i];
		if (service->verdict == NULL)
			continue;
		(void)fprintf(file,
			      "%s{\"service\":\"%s\",\"canary\":\"%s\",\"baseline\":\"%s\","
			      "\"verdict\":\"%s\"}",
			      between, service->name, service->canary.version,
			      service->stable.version, service->verdict);
		between = ",";
	}
	(void)fprintf(file, "]");
}

/* Written beside and renamed: a reader sees a whole report or none. */
static bool write_report(const struct fleet *fleet, bool ended)
{
	char beside[4096];
	const char *path = fleet->arguments->report;
	if (path == NULL)
		return true;
	if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
		return false;
	FILE *file = fopen(beside, "we");
	if (file == NULL)
		return false;
	struct count sum = total(fleet);
	(void)fprintf(file,
		      "{\"schema\":\"picket.fleet/1\",\"seed\":%llu,\"anchor_us\":%lld,"
		      "\"ended\":%s,\"messages\":%llu,\"records\":%llu,\"bad\":%llu,"
		      "\"failed\":%llu,\n",
		      (unsigned long long)fleet->arguments->seed, (long long)fleet->anchor_us,
		      ended ? "true" : "false", (unsigned long long)sum.delivered,
		      (unsigned long long)sum.delivered, (unsigned long long)fleet->bad,
		      (unsigned long long)sum.failed);
	report_topics(fleet, file);
	(void)fprintf(file, "\"alerts\":[%s],\n", fleet_expected_alerts());
	report_canaries(file);
	(void)fprintf(file, "}\n");
	bool good = ferror(file) == 0;
	good = fclose(file) == 0 && good;
	return good && rename(beside, path) == 0;
}

static void progress(const struct fleet *fleet, int64_t scene_ms)
{
	if (fleet->arguments->quiet)
		return;
	double left_s = fleet->arguments->start_ago_s - (double)scene_ms / 1000;
	struct count sum = total(fleet);
	if (left_s > 0)
		(void)fprintf(stderr, "picket-fleet: event time is %.0f s ago, %llu records sent\n",
			      left_s, (unsigned long long)sum.sent);
	else
		(void)fprintf(stderr, "picket-fleet: live, %llu records sent\n",
			      (unsigned long long)sum.sent);
}

/* Everything is acknowledged or failed when this returns true. */
static bool flush_and_report(struct fleet *fleet, bool ended)
{
	bool flushed = rd_kafka_flush(fleet->producer, FLUSH_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
	return write_report(fleet, ended) && flushed && total(fleet).failed == 0;
}

/* Scene time runs `speed` times as fast as the clock until it has caught up with it. */
static enum status play(struct fleet *fleet)
{
	const struct arguments *arguments = fleet->arguments;
	int64_t began_us = wall_us();
	double speed = arguments->start_ago_s / arguments->duration_s;
	fleet->anchor_us =
		began_us + (int64_t)((arguments->duration_s - arguments->start_ago_s) * 1e6);
	int64_t told_us = began_us;
	enum status status = OK;
	while (status == OK && !fleet->stopping) {
		double passed_s = (double)(wall_us() - began_us) / 1e6;
		double live_s = passed_s - arguments->duration_s;
		double scene_s = live_s < 0 ? passed_s * speed : arguments->start_ago_s + live_s;
		if (live_s >= 0 && !fleet->played)
			scene_s = arguments->start_ago_s;
		status = fleet_scene_play(fleet->scene, (int64_t)(scene_s * 1000), send_event,
					  fleet);
		(void)rd_kafka_poll(fleet->producer, 0);
		if (live_s >= 0 && !fleet->played) {
			fleet->played = true;
			if (arguments->live_s != 0 && !flush_and_report(fleet, false))
				return EUNAVAILABLE;
		}
		if (arguments->live_s >= 0 && live_s >= arguments->live_s)
			break;
		if (wall_us() - told_us >= PROGRESS_S * 1000000LL) {
			told_us = wall_us();
			progress(fleet, (int64_t)(scene_s * 1000));
		}
		const struct timespec pace = {.tv_nsec = PACE_MS * 1000000};
		fleet->stopping = sigtimedwait(&fleet->signals, NULL, &pace) > 0;
	}
	return status;
}

static rd_kafka_t *producer_new(struct fleet *fleet)
{
	static const char *const settings[][2] = {{"client.id", "picket-fleet"},
						  {"linger.ms", "20"},
						  {"enable.idempotence", "true"},
						  {"socket.nagle.disable", "true"},
						  {"message.timeout.ms", "60000"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, NULL);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, fleet);
	char why[512];
	bool good = rd_kafka_conf_set(conf, "bootstrap.servers", fleet->arguments->bootstrap, why,
				      sizeof why) == RD_KAFKA_CONF_OK;
	for (size_t i = 0; i < sizeof settings / sizeof *settings && good; i++)
		good = rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) ==
		       RD_KAFKA_CONF_OK;
	rd_kafka_t *producer = good ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why) : NULL;
	if (producer == NULL) {
		(void)snprintf(fleet->problem, sizeof fleet->problem, "%s", why);
		rd_kafka_conf_destroy(conf);
	}
	return producer;
}

static int run(const struct arguments *arguments)
{
	struct fleet fleet = {.arguments = arguments};
	/* Blocked before the first thread starts, so that every thread inherits it. */
	(void)sigemptyset(&fleet.signals);
	(void)sigaddset(&fleet.signals, SIGTERM);
	(void)sigaddset(&fleet.signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &fleet.signals, NULL);
	fleet.scene = fleet_scene_new(arguments->seed);
	fleet.producer = fleet.scene == NULL ? NULL : producer_new(&fleet);
	if (fleet.producer == NULL) {
		(void)fprintf(stderr, "picket-fleet: %s\n", fleet.problem);
		fleet_scene_free(&fleet.scene);
		return EXIT_INTERNAL;
	}
	bool good = play(&fleet) == OK;
	good = flush_and_report(&fleet, true) && good;
	struct count sum = total(&fleet);
	if (!arguments->quiet || !good)
		(void)fprintf(
			stderr,
			"picket-fleet: %llu records sent, %llu acknowledged by %s, %llu failed%s%s\n",
			(unsigned long long)sum.sent, (unsigned long long)sum.delivered,
			arguments->bootstrap, (unsigned long long)sum.failed,
			fleet.problem[0] == '\0' ? "" : ": ", fleet.problem);
	rd_kafka_destroy(fleet.producer);
	fleet_scene_free(&fleet.scene);
	bytes_done(&fleet.line);
	return good ? EXIT_SUCCESS : EXIT_UNREACHABLE;
}

static int print_topics(void)
{
	for (int i = 0; i < FLEET_SERVICES; i++)
		(void)printf("%s%s:%d", i == 0 ? "" : ",", fleet_services[i].topic,
			     fleet_services[i].partitions);
	(void)printf("\n");
	return EXIT_SUCCESS;
}

static bool take_option(struct arguments *arguments, int option, double *speed)
{
	switch (option) {
	case 'b':
		arguments->bootstrap = optarg;
		return true;
	case 's':
		arguments->seed = strtoull(optarg, NULL, 10);
		return true;
	case 'a':
		return parse_duration(optarg, &arguments->start_ago_s);
	case 'd':
		return parse_duration(optarg, &arguments->duration_s);
	case 'x':
		return parse_duration(optarg, speed);
	case 'l':
		return parse_duration(optarg, &arguments->live_s);
	case 'r':
		arguments->report = optarg;
		return true;
	case 'q':
		arguments->quiet = true;
		return true;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"bootstrap", required_argument, NULL, 'b'},
						{"seed", required_argument, NULL, 's'},
						{"start-ago", required_argument, NULL, 'a'},
						{"duration", required_argument, NULL, 'd'},
						{"speed", required_argument, NULL, 'x'},
						{"live-for", required_argument, NULL, 'l'},
						{"report", required_argument, NULL, 'r'},
						{"quiet", no_argument, NULL, 'q'},
						{"print-topics", no_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct arguments arguments = {
		.seed = 1, .start_ago_s = 420, .duration_s = 40, .live_s = -1};
	double speed = 0;
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (option == 'h')
			return fputs(help, stdout) < 0 ? EXIT_INTERNAL : EXIT_SUCCESS;
		if (option == 't')
			return print_topics();
		if (!take_option(&arguments, option, &speed))
			return usage("an option is unknown or its value is not valid");
	}
	if (speed > 0)
		arguments.duration_s = arguments.start_ago_s / speed;
	if (optind < argc || arguments.bootstrap == NULL)
		return usage("--bootstrap is needed, and nothing but options");
	if (arguments.start_ago_s <= 0 || arguments.duration_s <= 0)
		return usage("--start-ago and --duration must be more than nothing");
	return run(&arguments);
}
