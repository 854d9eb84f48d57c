/* http - the API behind a unix socket and a TCP address (libmicrohttpd).
 *
 * Why: the socket (mode 0600) has every right, for the CLI of the operator; TCP has the role
 * gate-read, for pipelines and scrapers: metrics, health, gate, status, sources, rules, services.
 * Events, quarantine and alerts hold tenants' data and are not given away over TCP.
 *
 * Rules of TCP: /metrics, /livez and /readyz are open. /v1/ needs `Authorization: Bearer TOKEN`
 * when there is a token, and there must be one on an address that is not loopback. Without a token
 * the Host header must name this machine (a web page must not read it through DNS rebinding).
 *
 * Invariant: no request can make a handler wait longer than its wait= (at most 8 s); http_free()
 * returns when no handler runs any more. Owner: http_start()'s caller. Thread: its own, one per
 * connection. Limits: HTTP_CONNECTIONS_MAX per door, API_BODY_MAX, HTTP_IDLE_S. */
#ifndef PICKET_CLI_HTTP_H
#define PICKET_CLI_HTTP_H

#include "cli/api.h"
#include "cli/config.h"

enum {
	HTTP_CONNECTIONS_MAX = 128,
	HTTP_CONNECTIONS_PER_ADDRESS = 64, /* one slow client cannot have them all */
	HTTP_IDLE_S = 15,
	HTTP_HEADERS_MAX = 32 * 1024,
};

struct http;

struct http_options {
	struct api *api;               /* lent */
	const char *socket_path;       /* "" = none */
	struct listen_address listen;  /* off = none */
	struct text token;             /* size 0 = none; lent */
	const char *certificate, *key; /* PEM texts, NULL = no TLS; lent */
};

/* EINUSE when an address is taken, with what to do. */
enum status http_start(const struct http_options *options, struct http **ret_http,
		       struct error *err);
/* The TCP port that is listened on (for port 0), 0 = none. */
unsigned http_port(const struct http *http);
void http_free(struct http **http);

#endif
