/* http_listen - listening sockets with errors that a person can act on.
 *
 * Why: "port taken" and "no such folder" are what goes wrong on the first day. Invariant: a unix
 * socket is never reachable for others, not even for a moment (it is bound under umask 0177).
 * Owner: the descriptor is the caller's. Thread: the start of the program (umask is of the
 * process). Limits: the path fits sockaddr_un. */
#ifndef PICKET_CLI_HTTP_LISTEN_PRIVATE_H
#define PICKET_CLI_HTTP_LISTEN_PRIVATE_H

#include "cli/config.h"

/* A socket file that nobody answers on is replaced; EINUSE when somebody does. */
enum status listen_unix(const char *path, int *ret_descriptor, struct error *err);
enum status listen_tcp(const struct listen_address *address, int *ret_descriptor,
		       unsigned *ret_port, struct error *err);

#endif
