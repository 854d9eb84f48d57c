/* client - asks the API: over a unix socket, over HTTP(S), or in process from a store.
 *
 * Why: every command is a client, so whatever the CLI can do a script can do with curl. With
 * `--data DIR` the same routes answer from a store that no daemon has open.
 *
 * Invariant: an answer is the bytes the server sent, with its HTTP status; a server that does not
 * answer is EUNAVAILABLE with the next step. Owner: client_free(). Thread: one.
 * Limits: answers up to CLIENT_ANSWER_MAX bytes. */
#ifndef PICKET_CLI_CLIENT_H
#define PICKET_CLI_CLIENT_H

#include "cli/api.h"

enum { CLIENT_ANSWER_MAX = 512 * 1024 * 1024, CLIENT_TIMEOUT_S = 30 };

struct client;

struct client_options {
	const char *server;     /* unix:PATH, http://..., https://...; NULL with data_dir */
	const char *data_dir;   /* NULL = ask the server */
	bool writable;          /* open data_dir for writing */
	const char *token_file; /* NULL = none */
	const char *ca_file;    /* PEM certificates to trust for https, NULL = the system's */
};

enum status client_new(const struct client_options *options, struct client **ret_client,
		       struct error *err);
void client_free(struct client **client);

/* method GET or POST; a POST has a JSON body. ret_response->body is the caller's to free. */
enum status client_ask(struct client *client, const struct api_request *request,
		       struct api_response *ret_response, struct error *err);

#endif
