#include "cli/http.h"

#include <assert.h>
#include <microhttpd.h>
#include <poll.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/http_listen_private.h"

enum { PEER_MAX = 96 };

/* One listener: what a request that came in through it may do. */
struct door {
	struct MHD_Daemon *daemon;
	struct api *api;
	bool trusted; /* the unix socket */
	struct text token;
};

struct http {
	struct door socket, tcp;
	unsigned port;
	char *socket_path;
};

struct upload {
	struct bytes body;
	bool too_large;
};

struct parameters {
	struct api_parameter items[API_PARAMETERS_MAX];
	size_t count;
	bool too_many;
};

/* With its size: a %00 in a value must not cut it short, "tenant=%00" is not "no tenant". */
static enum MHD_Result take_parameter(void *context, enum MHD_ValueKind kind, const char *name,
				      size_t name_size, const char *value, size_t value_size)
{
	struct parameters *to = context;
	(void)kind;
	if (to->count == API_PARAMETERS_MAX) {
		to->too_many = true;
		return MHD_NO;
	}
	to->items[to->count++] =
		(struct api_parameter){{name, name_size}, {value, value == NULL ? 0 : value_size}};
	return MHD_YES;
}

static bool host_is_local(const char *host)
{
	static const char *const local[] = {"127.0.0.1", "localhost", "[::1]"};
	for (size_t i = 0; host != NULL && i < sizeof local / sizeof *local; i++) {
		size_t size = strlen(local[i]);
		if (strncasecmp(host, local[i], size) == 0 &&
		    (host[size] == '\0' || host[size] == ':'))
			return true;
	}
	return false;
}

static bool token_fits(struct text token, const char *header)
{
	static const char scheme[] = "Bearer ";
	if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0)
		return false;
	struct text given = text_of(header + sizeof scheme - 1);
	return given.size == token.size && sodium_memcmp(given.data, token.data, token.size) == 0;
}

/* 0 when the request may go on, else the HTTP status of the refusal with its words. */
static unsigned refusal(const struct door *door, struct MHD_Connection *connection,
			const struct api_request *request, const char **ret_text)
{
	enum api_access access = api_access_of(request->method, request->path);
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	const char *authorization =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	if (door->trusted || access == API_OPEN)
		return 0;
	if (door->token.size > 0 && !token_fits(door->token, authorization)) {
		*ret_text = "this address needs `Authorization: Bearer TOKEN` with the token of "
			    "api.token_file (picket --token-file FILE)";
		return 401;
	}
	if (door->token.size == 0 && !host_is_local(host)) {
		*ret_text = "the Host header does not name this machine";
		return 403;
	}
	if (access >= API_SOCKET_POLL) {
		*ret_text =
			"over TCP the role is gate-read (gate, status, sources, rules, services); "
			"ask the unix socket for the rest: --server unix:PATH";
		return 403;
	}
	return 0;
}

static enum MHD_Result reply(struct MHD_Connection *connection, struct api_response *response)
{
	char retry[16];
	struct MHD_Response *message = MHD_create_response_from_buffer(
		response->body.size, response->body.data, MHD_RESPMEM_MUST_FREE);
	if (message == NULL) {
		bytes_done(&response->body);
		return MHD_NO;
	}
	response->body = (struct bytes){0}; /* the message owns it now */
	(void)MHD_add_response_header(message, "Content-Type", response->content_type);
	(void)MHD_add_response_header(message, "Cache-Control", "no-store");
	(void)MHD_add_response_header(message, "X-Content-Type-Options", "nosniff");
	if (response->retry_after_s > 0) {
		(void)snprintf(retry, sizeof retry, "%u", response->retry_after_s);
		(void)MHD_add_response_header(message, "Retry-After", retry);
	}
	if (response->allow != NULL)
		(void)MHD_add_response_header(message, "Allow", response->allow);
	if (response->status == 401)
		(void)MHD_add_response_header(message, "WWW-Authenticate", "Bearer");
	enum MHD_Result result = MHD_queue_response(connection, response->status, message);
	MHD_destroy_response(message);
	return result;
}

static int socket_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	return info == NULL ? -1 : info->connect_fd;
}

/* Whether the other side has closed the connection; a search asks between two blocks. */
static bool is_gone(void *context)
{
	struct pollfd door = {.fd = socket_of(context), .events = POLLRDHUP};
	return poll(&door, 1, 0) > 0 && (door.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Who is at the other end of the unix socket, as the kernel has seen him connect. */
static struct text peer_of(const struct door *door, struct MHD_Connection *connection,
			   char buffer[static PEER_MAX])
{
	struct ucred peer = {0};
	socklen_t size = sizeof peer;
	struct passwd entry = {0};
	struct passwd *user = NULL;
	char names[1024];
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!door->trusted || info == NULL ||
	    getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return (struct text){0};
	(void)getpwuid_r(peer.uid, &entry, names, sizeof names, &user);
	(void)snprintf(buffer, PEER_MAX, "%.64s%s%u%s", user == NULL ? "" : user->pw_name,
		       user == NULL ? "uid " : " (", (unsigned)peer.uid, user == NULL ? "" : ")");
	return text_of(buffer);
}

static enum MHD_Result answer(const struct door *door, struct MHD_Connection *connection,
			      const char *path, const char *method, const struct upload *upload)
{
	struct parameters parameters = {.count = 0};
	struct api_response response = {0};
	const char *text = NULL;
	char who[PEER_MAX] = "";
	(void)MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, take_parameter,
					  &parameters);
	/* The server itself leaves the body of the answer to HEAD out. */
	bool head = strcmp(method, "HEAD") == 0;
	struct api_request request = {.method = head ? TEXT("GET") : text_of(method),
				      .path = text_of(path),
				      .parameters = parameters.items,
				      .parameter_count = parameters.count,
				      .body = bytes_text(&upload->body),
				      .who = peer_of(door, connection, who),
				      .is_gone = is_gone,
				      .is_gone_context = connection};
	unsigned refused = refusal(door, connection, &request, &text);
	if (refused != 0)
		api_refuse(&response, refused, text);
	else if (parameters.too_many)
		api_refuse(&response, 400, "too many parameters");
	else if (upload->too_large || upload->body.failed)
		api_refuse(&response, 413, "the body is larger than 4 MiB");
	else
		api_answer(door->api, &request, &response);
	return reply(connection, &response);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
				  const char *path, const char *method, const char *version,
				  const char *data, size_t *data_size, void **state)
{
	struct upload *upload = *state;
	(void)version;
	if (upload == NULL) {
		*state = calloc(1, sizeof *upload);
		return *state == NULL ? MHD_NO : MHD_YES;
	}
	if (*data_size > 0) {
		if (upload->body.size + *data_size > API_BODY_MAX)
			upload->too_large = true;
		else
			bytes_put(&upload->body, data, *data_size);
		*data_size = 0;
		return MHD_YES;
	}
	return answer(context, connection, path, method, upload);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct upload *upload = *state;
	(void)context;
	(void)connection;
	(void)code;
	if (upload != NULL)
		bytes_done(&upload->body);
	free(upload);
	*state = NULL;
}

/* Takes the descriptor: it is closed with the door, or here when the door does not open. */
static enum status open_door(struct door *door, int descriptor, const struct http_options *options,
			     struct error *err)
{
	bool tls = !door->trusted && options->certificate != NULL;
	unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
			 MHD_USE_POLL | (tls ? MHD_USE_TLS : 0);
	const struct MHD_OptionItem with_tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key},
		{MHD_OPTION_END, 0, NULL},
	};
	const struct MHD_OptionItem without[] = {{MHD_OPTION_END, 0, NULL}};
	door->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, door, MHD_OPTION_LISTEN_SOCKET, descriptor,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)HTTP_CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADERS_MAX,
		MHD_OPTION_ARRAY, tls ? with_tls : without, MHD_OPTION_END);
	if (door->daemon == NULL) {
		(void)close(descriptor);
		return error_set(err, ESYSTEM, "the HTTP server does not start%s",
				 tls ? "; are the certificate and the key PEM and do they fit?"
				     : "");
	}
	return OK;
}

enum status http_start(const struct http_options *options, struct http **ret_http,
		       struct error *err)
{
	int descriptor = -1;
	assert(options->listen.off || options->listen.loopback || options->token.size > 0);
	struct http *http cleanup(http_free) = calloc(1, sizeof *http);
	if (http == NULL)
		return error_set(err, ENOMEMORY, "no memory for the HTTP server");
	http->socket = (struct door){.api = options->api, .trusted = true};
	http->tcp = (struct door){.api = options->api, .token = options->token};
	if (options->socket_path[0] != '\0') {
		enum status status = listen_unix(options->socket_path, &descriptor, err);
		if (status == OK)
			status = open_door(&http->socket, descriptor, options, err);
		if (status != OK)
			return status;
		http->socket_path = strdup(options->socket_path);
	}
	if (!options->listen.off) {
		enum status status = listen_tcp(&options->listen, &descriptor, &http->port, err);
		if (status == OK)
			status = open_door(&http->tcp, descriptor, options, err);
		if (status != OK)
			return status;
	}
	*ret_http = TAKE(http);
	return OK;
}

unsigned http_port(const struct http *http)
{
	return http->port;
}

void http_free(struct http **http)
{
	struct http *gone = *http;
	if (gone == NULL)
		return;
	if (gone->tcp.daemon != NULL)
		MHD_stop_daemon(gone->tcp.daemon);
	if (gone->socket.daemon != NULL)
		MHD_stop_daemon(gone->socket.daemon);
	if (gone->socket_path != NULL)
		(void)unlink(gone->socket_path);
	free(gone->socket_path);
	free(gone);
	*http = NULL;
}
