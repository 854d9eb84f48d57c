#include "cli/client.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_private.h"
#include "cli/config.h"
#include "cli/rule_shadow.h"
#include "cli/wall.h"

enum { SECRET_ARENA_BYTES = 256 * 1024 };

struct client {
	CURL *curl; /* NULL: in process */
	struct curl_slist *headers;
	struct bytes base; /* URL without path, with its NUL */
	char *server;
	struct api api; /* in process */
	struct store *store;
	char problem[CURL_ERROR_SIZE];
};

void client_free(struct client **client)
{
	struct client *gone = *client;
	if (gone == NULL)
		return;
	if (gone->curl != NULL)
		curl_easy_cleanup(gone->curl);
	curl_slist_free_all(gone->headers);
	if (gone->store != NULL) {
		api_done(&gone->api);
		store_free(&gone->store);
	}
	bytes_done(&gone->base);
	free(gone->server);
	free(gone);
	*client = NULL;
}

static enum status open_store(struct client *client, const struct client_options *options,
			      struct error *err)
{
	struct store_options store = {.path = options->data_dir, .read_only = !options->writable};
	enum status status = store_open(&store, &client->store, err);
	if (status == EINUSE)
		return error_set(err, status,
				 "a running picket has the store in %s open; ask it: --server "
				 "unix:%s/picket.sock (or where api.socket says), or stop it",
				 options->data_dir, options->data_dir);
	if (status == ENOTFOUND) /* the store does not answer; it is not an answer "no" */
		return err->status = EUNAVAILABLE;
	if (status != OK)
		return status;
	client->api = (struct api){.store = client->store,
				   .block_after_us = RULE_SHADOW_DEFAULT_US,
				   .clock = wall_clock_real(),
				   .read_only = !options->writable};
	api_init(&client->api);
	return OK;
}

static enum status add_token(struct client *client, const char *file, struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(SECRET_ARENA_BYTES);
	struct bytes header cleanup(bytes_done) = {0};
	struct text token = {0};
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the token");
	enum status status = secret_read(file, arena, &token, err);
	if (status != OK)
		return status;
	bytes_write_string(&header, "Authorization: Bearer ");
	bytes_write(&header, token);
	bytes_put_u8(&header, 0);
	struct curl_slist *added =
		header.failed ? NULL
			      : curl_slist_append(client->headers, (const char *)header.data);
	if (added == NULL)
		return error_set(err, ENOMEMORY, "no memory for the token");
	client->headers = added;
	return OK;
}

static enum status open_server(struct client *client, const struct client_options *options,
			       struct error *err)
{
	const char *server = options->server;
	client->curl = curl_easy_init();
	client->server = strdup(server);
	if (client->curl == NULL || client->server == NULL)
		return error_set(err, ENOMEMORY, "no memory for the HTTP client");
	if (strncmp(server, "unix:", 5) == 0) {
		(void)curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, server + 5);
		bytes_write_string(&client->base, "http://picket");
	} else if (strncmp(server, "http://", 7) == 0 || strncmp(server, "https://", 8) == 0) {
		size_t size = strlen(server);
		while (size > 8 && server[size - 1] == '/')
			size--;
		bytes_put(&client->base, server, size);
	} else {
		return error_set(err, EINVALID,
				 "\"%s\" is no server; write unix:PATH, http://HOST:PORT or "
				 "https://HOST:PORT",
				 server);
	}
	(void)curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, client->problem);
	(void)curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(client->curl, CURLOPT_TIMEOUT, (long)CLIENT_TIMEOUT_S);
	(void)curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT, 5L);
	(void)curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(client->curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(client->curl, CURLOPT_USERAGENT, "picket/" PICKET_VERSION);
	if (strncmp(server, "unix:", 5) == 0)
		(void)curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
	if (options->ca_file != NULL)
		(void)curl_easy_setopt(client->curl, CURLOPT_CAINFO, options->ca_file);
	return options->token_file == NULL ? OK : add_token(client, options->token_file, err);
}

enum status client_new(const struct client_options *options, struct client **ret_client,
		       struct error *err)
{
	assert(options->data_dir != NULL || options->server != NULL);
	struct client *client cleanup(client_free) = calloc(1, sizeof *client);
	if (client == NULL)
		return error_set(err, ENOMEMORY, "no memory for a client");
	enum status status = options->data_dir != NULL ? open_store(client, options, err)
						       : open_server(client, options, err);
	if (status == OK)
		*ret_client = TAKE(client);
	return status;
}

/* Percent-encodes everything that RFC 3986 does not leave alone; keep_slash for paths. */
static void put_encoded(struct bytes *to, struct text text, bool keep_slash)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];
		char escaped[4];
		if (memchr(plain, c, sizeof plain - 1) != NULL || (keep_slash && c == '/')) {
			bytes_put_u8(to, c);
			continue;
		}
		(void)snprintf(escaped, sizeof escaped, "%%%02X", c);
		bytes_put(to, escaped, 3);
	}
}

static void put_url(const struct client *client, const struct api_request *request,
		    struct bytes *to)
{
	bytes_write(to, bytes_text(&client->base));
	put_encoded(to, request->path, true);
	for (size_t i = 0; i < request->parameter_count; i++) {
		bytes_write_string(to, i == 0 ? "?" : "&");
		put_encoded(to, request->parameters[i].name, false);
		bytes_write_string(to, "=");
		put_encoded(to, request->parameters[i].value, false);
	}
	bytes_put_u8(to, 0);
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
	struct bytes *body = context;
	if (body->size + size * count > CLIENT_ANSWER_MAX)
		return 0;
	bytes_put(body, data, size * count);
	return body->failed ? 0 : size * count;
}

static enum status server_unreachable(const struct client *client, CURLcode code, struct error *err)
{
	const char *why = client->problem[0] != '\0' ? client->problem : curl_easy_strerror(code);
	long number = 0;
	if (strncmp(client->server, "unix:", 5) == 0) {
		/* curl speaks of a host and a port here, which only misleads. */
		if (code == CURLE_COULDNT_CONNECT &&
		    curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &number) == CURLE_OK &&
		    number != 0)
			why = strerror((int)number);
		return error_set(
			err, EUNAVAILABLE,
			"no daemon answers on %s (%s); is `picket run` up, and may you read "
			"its socket? Another place: -c FILE (its configuration), --server URL, "
			"PICKET_SERVER, or --data DIR for a store nobody has open",
			client->server, why);
	}
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return error_set(err, EUNAVAILABLE,
				 "%s is not trusted: %s; name its certificate or its CA with "
				 "--ca-file FILE (PICKET_CA_FILE)",
				 client->server, why);
	if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR)
		return error_set(err, EUNAVAILABLE,
				 "%s gives no HTTP answer (%s); does it speak https, or is it "
				 "another program?",
				 client->server, why);
	return error_set(err, EUNAVAILABLE,
			 "%s does not answer: %s; see api.listen of the daemon, or ask its socket: "
			 "--server unix:PATH",
			 client->server, why);
}

static enum status ask_server(struct client *client, const struct api_request *request,
			      struct api_response *ret_response, struct error *err)
{
	struct bytes url cleanup(bytes_done) = {0};
	struct bytes body cleanup(bytes_done) = {0};
	long status = 0;
	bool post = text_equal(request->method, TEXT("POST"));
	struct curl_slist *headers = client->headers;
	struct curl_slist json = {(char *)"Content-Type: application/json", headers};
	put_url(client, request, &url);
	if (url.failed)
		return error_set(err, ENOMEMORY, "no memory for a request");
	client->problem[0] = '\0';
	(void)curl_easy_setopt(client->curl, CURLOPT_URL, url.data);
	(void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, post ? &json : headers);
	(void)curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &body);
	(void)curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
	if (post) {
		(void)curl_easy_setopt(client->curl, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				       (curl_off_t)request->body.size);
		(void)curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, request->body.data);
	}
	CURLcode code = curl_easy_perform(client->curl);
	(void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
	if (code != CURLE_OK)
		return server_unreachable(client, code, err);
	(void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	*ret_response = (struct api_response){
		.status = (unsigned)status, .content_type = "application/json", .body = body};
	body = (struct bytes){0};
	return OK;
}

enum status client_ask(struct client *client, const struct api_request *request,
		       struct api_response *ret_response, struct error *err)
{
	assert(request->path.size > 0 && request->path.data[0] == '/');
	if (client->curl != NULL)
		return ask_server(client, request, ret_response, err);
	api_answer(&client->api, request, ret_response);
	return OK;
}
