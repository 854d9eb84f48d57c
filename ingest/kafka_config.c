#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/kafka_private.h"

enum { SECRET_BYTES_MAX = 64 * 1024 };

struct setting {
	const char *name, *value;
};

/* What the promises of picket need. A user may not change these. */
static const struct setting fixed_settings[] = {
	{"enable.auto.commit", "false"},    {"enable.auto.offset.store", "false"},
	{"auto.offset.reset", "error"},     {"check.crcs", "true"},
	{"enable.partition.eof", "true"},   {"isolation.level", "read_committed"},
	{"statistics.interval.ms", "1000"}, {"fetch.wait.max.ms", "100"},
	{"fetch.error.backoff.ms", "200"},  {"allow.auto.create.topics", "false"},
};

/* What is good for us; a user may know better. */
static const struct setting default_settings[] = {
	{"client.id", "picket"},
	{"socket.nagle.disable", "true"},
	/* With 16 MiB the fetcher waits more than it fetches: 43 k events/s instead of 116 k. */
	{"queued.max.messages.kbytes", "65536"},
	{"queued.min.messages", "100000"},
	{"topic.metadata.refresh.interval.ms", "10000"},
	{"reconnect.backoff.max.ms", "2000"},
	{"socket.keepalive.enable", "true"},
};

/* A name, or the beginning of names when it ends in a dot. */
static const struct {
	const char *name, *promise;
} refused[] = {
	{"bootstrap.servers", "it is kafka.bootstrap_servers, so that messages can name it"},
	{"metadata.broker.list", "it is kafka.bootstrap_servers, so that messages can name it"},
	{"group.id", "it is kafka.group_id; commits there carry the store's id"},
	{"group.", "partitions are assigned by picket, never by a consumer group"},
	{"partition.assignment.strategy",
	 "partitions are assigned by picket, never by a consumer group"},
	{"enable.auto.commit",
	 "nothing lost: positions are committed with the events, in the store"},
	{"auto.commit.", "nothing lost: positions are committed with the events, in the store"},
	{"offset.store.", "nothing lost: positions are committed with the events, in the store"},
	{"enable.auto.offset.store",
	 "nothing lost: positions are committed with the events, in the store"},
	{"auto.offset.reset", "a gap in the log raises an alert and is never skipped silently"},
	{"check.crcs", "a damaged record is noticed, never stored as if it were whole"},
	{"isolation.level", "records of an aborted transaction never existed"},
	{"enable.partition.eof", "silence is never a pass: idleness is proved with it"},
	{"statistics.interval.ms", "silence is never a pass: idleness is proved with it"},
	{"fetch.wait.max.ms", "silence is never a pass: idleness is proved with it"},
	{"fetch.error.backoff.ms", "silence is never a pass: idleness is proved with it"},
	{"allow.auto.create.topics", "watching a topic must not create it"},
	{"topic.blacklist",
	 "a topic that is hidden here would be silent; leave it out of kafka.topics"},
	{"enabled_events", "errors and statistics must reach picket"},
	{"opaque", "it is no setting for people"},
	{"plugin.library.paths", "foreign code does not run inside picket"},
	{"test.mock.", "a source reads a broker, it does not play one"},
};

static const char *refusal_of(struct text name)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct text entry = text_of(refused[i].name);
		bool family = entry.data[entry.size - 1] == '.';
		if (family ? text_starts(name, entry) : text_equal(name, entry))
			return refused[i].promise;
	}
	return NULL;
}

static enum status set_one(rd_kafka_conf_t *conf, const char *name, const char *value,
			   struct error *err)
{
	char why[512];
	if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
		return OK;
	return error_set(err, EINVALID, "kafka.librdkafka: %s: %s", name, why);
}

/* `NAME.file: PATH` means that the value of NAME is the contents of the file, without the final
 * line break: a password then stands in no configuration and no process list. */
static enum status set_from_file(rd_kafka_conf_t *conf, const char *name, const char *path,
				 struct error *err)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return error_set(err, EINVALID, "kafka.librdkafka: %s.file: %s cannot be read: %s",
				 name, path, strerror(errno));
	char *secret = calloc(1, SECRET_BYTES_MAX + 1);
	size_t size = secret == NULL ? 0 : fread(secret, 1, SECRET_BYTES_MAX, file);
	(void)fclose(file);
	if (secret == NULL)
		return error_set(err, ENOMEMORY, "no memory to read %s", path);
	while (size > 0 && (secret[size - 1] == '\n' || secret[size - 1] == '\r'))
		secret[--size] = '\0';
	enum status status = size == 0 ? error_set(err, EINVALID,
						   "kafka.librdkafka: %s.file: %s is empty; put "
						   "the secret into it",
						   name, path)
				       : set_one(conf, name, secret, err);
	explicit_bzero(secret, SECRET_BYTES_MAX);
	free(secret);
	return status;
}

static enum status set_user_property(rd_kafka_conf_t *conf, const struct kafka_property *property,
				     struct error *err)
{
	char name[256], value[8192];
	if (property->name.size >= sizeof name || property->value.size >= sizeof value)
		return error_set(err, EINVALID, "kafka.librdkafka: %.*s is too long",
				 TEXT_ARG(property->name));
	(void)snprintf(name, sizeof name, "%.*s", TEXT_ARG(property->name));
	(void)snprintf(value, sizeof value, "%.*s", TEXT_ARG(property->value));
	struct text base = property->name;
	bool from_file = base.size > 5 && strcmp(name + base.size - 5, ".file") == 0;
	if (from_file)
		name[base.size -= 5] = '\0';
	const char *promise = refusal_of(base);
	if (promise != NULL)
		return error_set(err, EINVALID,
				 "kafka.librdkafka: %s cannot be set: %s; remove the line", name,
				 promise);
	return from_file ? set_from_file(conf, name, value, err) : set_one(conf, name, value, err);
}

static void conf_free(rd_kafka_conf_t **conf)
{
	if (*conf != NULL)
		rd_kafka_conf_destroy(*conf);
}

static enum status set_all(rd_kafka_conf_t *conf, const struct setting *settings, size_t count,
			   struct error *err)
{
	enum status status = OK;
	for (size_t i = 0; i < count && status == OK; i++)
		status = set_one(conf, settings[i].name, settings[i].value, err);
	return status;
}

enum status kafka_config(const struct kafka_options *options, rd_kafka_conf_t **ret_conf,
			 struct error *err)
{
	assert(options != NULL && ret_conf != NULL);
	rd_kafka_conf_t *conf cleanup(conf_free) = rd_kafka_conf_new();
	if (conf == NULL)
		return error_set(err, ENOMEMORY, "no memory for the Kafka configuration");
	enum status status = set_all(conf, default_settings,
				     sizeof default_settings / sizeof *default_settings, err);
	for (size_t i = 0; i < options->property_count && status == OK; i++)
		status = set_user_property(conf, &options->properties[i], err);
	if (status == OK)
		status = set_all(conf, fixed_settings,
				 sizeof fixed_settings / sizeof *fixed_settings, err);
	if (status == OK)
		status = set_one(conf, "bootstrap.servers", options->bootstrap_servers, err);
	/* assign() needs a group's name even when nothing is ever committed there. */
	if (status == OK)
		status = set_one(conf, "group.id",
				 options->group_id == NULL ? "picket-no-group" : options->group_id,
				 err);
	if (status != OK)
		return status;
	*ret_conf = TAKE(conf);
	return OK;
}

enum status kafka_options_check(const struct kafka_options *options, struct error *err)
{
	if (options->bootstrap_servers == NULL || options->bootstrap_servers[0] == '\0')
		return error_set(
			err, EINVALID,
			"kafka.bootstrap_servers is missing; give host:port, e.g. localhost:9092");
	if (options->topic_count == 0)
		return error_set(err, EINVALID,
				 "kafka.topics is empty; name topics or a regular expression "
				 "such as ^logs-.*");
	for (size_t i = 0; i < options->topic_count; i++) {
		struct kafka_pattern pattern;
		enum status status = kafka_pattern_new(options->topics[i], &pattern, err);
		if (status != OK)
			return status;
		if (pattern.is_regex)
			regfree(&pattern.regex);
		free(pattern.topic);
	}
	rd_kafka_conf_t *conf cleanup(conf_free) = NULL;
	return kafka_config(options, &conf, err);
}
