/* What is wrong with a configuration although each setting of it is right: settings that need or
 * exclude one another. Such a problem is shown where one of them stands in the file. */
#include <stdlib.h>
#include <string.h>

#include "cli/settings_private.h"

enum { SOCKET_PATH_MAX = 107 };

/* Where a setting stands in the file, for problems that show only beside others. */
static struct position place(const struct config_parse *parse, const char *path)
{
	for (size_t i = 0; i < setting_count; i++) {
		if (strcmp(settings[i].path, path) == 0 && parse->given[i])
			return parse->at[i];
	}
	return (struct position){.file = parse->file, .line = 1, .column = 1};
}

static void check_source(struct config_parse *parse)
{
	const struct config *config = &parse->config;
	bool kafka = config->kafka_servers[0] != '\0';
	if (kafka && config->files.count > 0)
		config_problem(parse, place(parse, "files"),
			       "both kafka.bootstrap_servers and files are "
			       "given; a daemon has one source");
	if (!kafka && config->files.count == 0)
		config_problem(parse, place(parse, "kafka.topics"),
			       "nothing to read: give kafka.bootstrap_servers and kafka.topics (or "
			       "files)");
	if (kafka && config->kafka_topics.count == 0)
		config_problem(
			parse, place(parse, "kafka.bootstrap_servers"),
			"kafka.topics is missing: name the topics to read, such as [\"^logs-.*\"]");
	if (config->rule_paths.count == 0)
		config_problem(parse, place(parse, "rules.on_refused"),
			       "rules.paths is missing: without rules nothing would ever be found");
}

static void check_api(struct config_parse *parse)
{
	struct config *config = &parse->config;
	struct listen_address address;
	bool certificate = config->api_tls_certificate_file[0] != '\0';
	if (config->api_socket[0] == '\0') {
		struct text path = arena_print(parse->arena, "%s/picket.sock", config->data_dir);
		parse->memory |= path.data == NULL;
		config->api_socket = path.data == NULL ? "" : path.data;
	}
	if (strlen(config->api_socket) > SOCKET_PATH_MAX)
		config_problem(parse, place(parse, "api.socket"),
			       "the path of the socket has %zu bytes, the system allows %d; set "
			       "api.socket",
			       strlen(config->api_socket), SOCKET_PATH_MAX);
	if (listen_parse(text_of(config->api_listen), &address) && !address.off &&
	    !address.loopback && config->api_token_file[0] == '\0')
		config_problem(
			parse, place(parse, "api.listen"),
			"api.listen %s is not a loopback address, so /v1/* needs a token: set "
			"api.token_file (head -c 32 /dev/urandom | base64 > FILE)",
			config->api_listen);
	if (certificate != (config->api_tls_key_file[0] != '\0'))
		config_problem(
			parse,
			place(parse, certificate ? "api.tls_certificate_file" : "api.tls_key_file"),
			"api.tls_certificate_file and api.tls_key_file belong together");
}

static void check_url(struct config_parse *parse, const char *path, const char *url)
{
	if (url[0] != '\0' && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		config_problem(parse, place(parse, path),
			       "%s is no address: write http://HOST:PORT or "
			       "https://HOST:PORT",
			       path);
}

void config_check(struct config_parse *parse)
{
	if (parse->problems->count == 0)
		check_source(parse);
	check_api(parse);
	check_url(parse, "receivers.alertmanager.url", parse->config.alertmanager_url);
	check_url(parse, "receivers.webhook.url", parse->config.webhook_url);
}
