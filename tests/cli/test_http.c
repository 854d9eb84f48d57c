/* A real server and a real client: roles, token, limits, and what happens when nobody is there. */
#include "cli/http.h"

#include <arpa/inet.h>
#include <check.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/wall.h"

static struct store *store;
static struct api api;
static struct http *http;
static char folder[64], socket_path[100], unix_url[160], tcp_url[64];

static char *certificate, *key; /* NULL = no TLS */

static void start(struct text token)
{
	struct http_options options = {.api = &api,
				       .socket_path = socket_path,
				       .token = token,
				       .certificate = certificate,
				       .key = key};
	ck_assert(listen_parse(TEXT("127.0.0.1:0"), &options.listen));
	struct error err = {0};
	ck_assert_msg(http_start(&options, &http, &err) == OK, "%s", err.text);
	snprintf(tcp_url, sizeof tcp_url, "http://127.0.0.1:%u", http_port(http));
}

static void setup(void)
{
	snprintf(folder, sizeof folder, "/tmp/picket-test-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(socket_path, sizeof socket_path, "%s/s.sock", folder);
	snprintf(unix_url, sizeof unix_url, "unix:%s", socket_path);
	ck_assert_int_eq(store_open_memory(&store, NULL), OK);
	api = (struct api){.store = store, .clock = wall_clock_real()};
	api_init(&api);
}

static void teardown(void)
{
	http_free(&http);
	api_done(&api);
	store_free(&store);
	rmdir(folder);
}

static unsigned ask(const char *server, const char *method, const char *path, struct text body)
{
	struct client *client = NULL;
	struct client_options options = {.server = server};
	struct api_request request = {
		.method = text_of(method), .path = text_of(path), .body = body};
	struct api_response response = {0};
	struct error err = {0};
	ck_assert_int_eq(client_new(&options, &client, &err), OK);
	enum status status = client_ask(client, &request, &response, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	bytes_done(&response.body);
	client_free(&client);
	return response.status;
}

START_TEST(test_socket_has_every_right)
{
	struct stat file;
	start((struct text){0});
	ck_assert_int_eq(stat(socket_path, &file), 0);
	ck_assert_int_eq(file.st_mode & 0777, 0600);
	ck_assert_uint_eq(ask(unix_url, "GET", "/v1/alerts", (struct text){0}), 200);
	ck_assert_uint_eq(ask(unix_url, "GET", "/v1/nothing", (struct text){0}), 404);
	ck_assert_uint_eq(ask(unix_url, "POST", "/v1/alerts/ffff/ack", TEXT("{\"who\":\"a\"}")),
			  404);
}
END_TEST

/* The audit knows who is at the other end, whatever a body says. */
START_TEST(test_audit_names_the_caller)
{
	struct api_request request = {.method = TEXT("GET"), .path = TEXT("/v1/audit")};
	struct api_response response = {0};
	char uid[32];
	start((struct text){0});
	ck_assert_uint_eq(ask(unix_url, "POST", "/v1/alerts/ffff/ack", TEXT("{\"who\":\"a\"}")),
			  404);
	api_answer(&api, &request, &response);
	bytes_put_u8(&response.body, 0);
	snprintf(uid, sizeof uid, "(%u)\"", (unsigned)getuid());
	ck_assert_msg(strstr((const char *)response.body.data, uid) != NULL, "%s",
		      (const char *)response.body.data);
	bytes_done(&response.body);
}
END_TEST

START_TEST(test_tcp_has_the_role_gate_read)
{
	start((struct text){0});
	ck_assert_uint_eq(ask(tcp_url, "GET", "/livez", (struct text){0}), 200);
	ck_assert_uint_eq(ask(tcp_url, "GET", "/metrics", (struct text){0}), 200);
	ck_assert_uint_eq(ask(tcp_url, "GET", "/v1/status", (struct text){0}), 200);
	ck_assert_uint_eq(ask(tcp_url, "GET", "/v1/alerts", (struct text){0}), 403);
	ck_assert_uint_eq(ask(tcp_url, "GET", "/v1/events", (struct text){0}), 403);
	ck_assert_uint_eq(ask(tcp_url, "GET", "/v1/quarantine", (struct text){0}), 403);
	ck_assert_uint_eq(ask(tcp_url, "POST", "/v1/alerts/ffff/ack", TEXT("{}")), 403);
}
END_TEST

/* The HTTP status of a raw GET with one header of our choice. */
static long raw(const char *path, const char *header)
{
	char url[256];
	long status = 0;
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, header);
	FILE *nowhere = fopen("/dev/null", "w");
	snprintf(url, sizeof url, "%s%s", tcp_url, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, nowhere);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	fclose(nowhere);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return status;
}

/* A request in our own words to the TCP address; the first bytes of the answer. */
static void talk(const char *words, char *answer, size_t size)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((in_port_t)http_port(http)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	size_t got = 0;
	int channel = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(channel, (struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(send(channel, words, strlen(words), MSG_NOSIGNAL), (int)strlen(words));
	shutdown(channel, SHUT_WR);
	for (ssize_t more = 1; more > 0 && got + 1 < size; got += more > 0 ? (size_t)more : 0)
		more = recv(channel, answer + got, size - 1 - got, 0);
	answer[got] = '\0';
	close(channel);
}

START_TEST(test_methods)
{
	char answer[4096];
	start((struct text){0});
	talk("HEAD /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", answer,
	     sizeof answer);
	ck_assert_msg(strstr(answer, "HTTP/1.1 200") == answer, "%s", answer);
	ck_assert_ptr_null(strstr(answer, "schema")); /* no body */
	talk("DELETE /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", answer,
	     sizeof answer);
	ck_assert_msg(strstr(answer, "HTTP/1.1 405") == answer, "%s", answer);
	ck_assert_ptr_nonnull(strstr(answer, "Allow: GET, HEAD\r\n"));
	talk("POST /v1/alerts/ffff/ack HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	     "Content-Length: 0\r\n\r\n",
	     answer, sizeof answer);
	ck_assert_msg(strstr(answer, "HTTP/1.1 403") == answer, "%s", answer);
	talk("\x16\x03\x01 nonsense\r\n\r\n", answer, sizeof answer);
	ck_assert_msg(strstr(answer, "200") == NULL, "%s", answer);
	ck_assert_int_eq(raw("/livez", "X: y"), 200); /* still there */
}
END_TEST

START_TEST(test_nul_in_a_parameter)
{
	start((struct text){0});
	ck_assert_int_eq(raw("/v1/services?service=%00", "X: y"), 200); /* of that name: none */
	ck_assert_int_eq(raw("/v1/services?service", "X: y"), 400);
	ck_assert_int_eq(raw("/v1/services?service=", "X: y"), 400);
	ck_assert_int_eq(raw("/v1/services?service%00x=a", "X: y"), 400);
}
END_TEST

static char *read_whole(const char *name)
{
	char path[256];
	char *text = calloc(1, 16 * 1024);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_gt(fread(text, 1, 16 * 1024 - 1, file), 0);
	fclose(file);
	return text;
}

/* The error of asking /livez over TLS with these certificates; "" when it was answered. */
static const char *over_tls(const char *ca_file, struct error *err)
{
	struct client *client = NULL;
	struct client_options options = {.server = tcp_url, .ca_file = ca_file};
	struct api_request request = {.method = TEXT("GET"), .path = TEXT("/livez")};
	struct api_response response = {0};
	*err = (struct error){0};
	ck_assert_int_eq(client_new(&options, &client, err), OK);
	enum status status = client_ask(client, &request, &response, err);
	ck_assert(status == OK || status == EUNAVAILABLE);
	bytes_done(&response.body);
	client_free(&client);
	return status == OK ? "" : err->text;
}

START_TEST(test_tls)
{
	char line[512];
	char ca_file[128];
	struct error err;
	snprintf(line, sizeof line,
		 "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem "
		 "-days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null",
		 folder);
	if (system(line) != 0) {
		puts("SKIP test_tls: no openssl here");
		return;
	}
	certificate = read_whole("cert.pem");
	key = read_whole("key.pem");
	start((struct text){0});
	snprintf(ca_file, sizeof ca_file, "%s/cert.pem", folder);
	ck_assert_ptr_nonnull(strstr(over_tls(ca_file, &err), "does it speak https"));
	memmove(tcp_url + 5, tcp_url + 4, strlen(tcp_url + 4) + 1);
	memcpy(tcp_url, "https", 5);
	ck_assert_str_eq(over_tls(ca_file, &err), "");
	ck_assert_ptr_nonnull(strstr(over_tls(NULL, &err), "--ca-file"));
	http_free(&http);
	struct http_options wrong = {
		.api = &api, .socket_path = "", .certificate = certificate, .key = certificate};
	ck_assert(listen_parse(TEXT("127.0.0.1:0"), &wrong.listen));
	ck_assert_int_eq(http_start(&wrong, &http, &err), ESYSTEM);
	ck_assert_ptr_nonnull(strstr(err.text, "PEM"));
	free(certificate);
	free(key);
	certificate = key = NULL;
	snprintf(line, sizeof line, "rm -f %s/key.pem %s/cert.pem", folder, folder);
	ck_assert_int_eq(system(line), 0);
}
END_TEST

START_TEST(test_rebinding_is_refused)
{
	start((struct text){0});
	ck_assert_int_eq(raw("/v1/status", "Host: evil.example"), 403);
	ck_assert_int_eq(raw("/v1/status", "Host: localhost.evil.example"), 403);
	ck_assert_int_eq(raw("/v1/status", "Host: localhost:9470"), 200);
	ck_assert_int_eq(raw("/livez", "Host: evil.example"), 200);
}
END_TEST

START_TEST(test_token)
{
	start(TEXT("s3cret"));
	ck_assert_int_eq(raw("/v1/status", "X: y"), 401);
	ck_assert_int_eq(raw("/v1/status", "Authorization: Bearer s3cre"), 401);
	ck_assert_int_eq(raw("/v1/status", "Authorization: Bearer s3crets"), 401);
	ck_assert_int_eq(raw("/v1/status", "Authorization: Basic s3cret"), 401);
	ck_assert_int_eq(raw("/v1/status", "Authorization: Bearer s3cret"), 200);
	ck_assert_int_eq(raw("/v1/alerts", "Authorization: Bearer s3cret"), 403);
	ck_assert_int_eq(raw("/metrics", "X: y"), 200);
	ck_assert_uint_eq(ask(unix_url, "GET", "/v1/status", (struct text){0}), 200);
}
END_TEST

START_TEST(test_paths_do_not_slip_through)
{
	start((struct text){0});
	ck_assert_int_eq(raw("/v1/status/../alerts", "X: y"), 403);
	ck_assert_int_eq(raw("/v1/%61lerts", "X: y"), 403);
	ck_assert_int_eq(raw("//v1/alerts", "X: y"), 403);
	ck_assert_int_eq(raw("/v1/alerts?x=1", "X: y"), 403);
	ck_assert_int_eq(raw("/v1/status?x=1", "X: y"), 400);
}
END_TEST

START_TEST(test_large_body)
{
	struct bytes body = {0};
	start((struct text){0});
	for (int i = 0; i < API_BODY_MAX + 1; i++)
		bytes_put_u8(&body, 'x');
	ck_assert_uint_eq(ask(unix_url, "POST", "/v1/alerts/ffff/ack", bytes_text(&body)), 413);
	bytes_done(&body);
}
END_TEST

START_TEST(test_large_header)
{
	char *header = malloc(HTTP_HEADERS_MAX * 2);
	ck_assert_ptr_nonnull(header);
	memset(header, 'x', HTTP_HEADERS_MAX * 2 - 1);
	memcpy(header, "X: ", 3);
	header[HTTP_HEADERS_MAX * 2 - 1] = '\0';
	start((struct text){0});
	long status = raw("/livez", header);
	ck_assert_msg(status == 0 || status >= 400, "HTTP %ld", status);
	ck_assert_int_eq(raw("/livez", "X: y"), 200);
	free(header);
}
END_TEST

START_TEST(test_second_daemon_is_refused)
{
	struct http *second = NULL;
	struct error err = {0};
	start((struct text){0});
	struct http_options options = {
		.api = &api, .socket_path = socket_path, .listen = {.off = true}};
	ck_assert_int_eq(http_start(&options, &second, &err), EINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, "another daemon answers"));
	options.socket_path = "";
	ck_assert(listen_parse(text_of(tcp_url + 7), &options.listen));
	ck_assert_int_eq(http_start(&options, &second, &err), EINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, "is taken by another program"));
}
END_TEST

START_TEST(test_left_over_socket_is_replaced)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	close(listener); /* a daemon that was killed leaves its file */
	start((struct text){0});
	ck_assert_uint_eq(ask(unix_url, "GET", "/livez", (struct text){0}), 200);
}
END_TEST

START_TEST(test_file_in_the_way_is_not_deleted)
{
	struct http *second = NULL;
	struct error err = {0};
	FILE *file = fopen(socket_path, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	struct http_options options = {
		.api = &api, .socket_path = socket_path, .listen = {.off = true}};
	ck_assert_int_eq(http_start(&options, &second, &err), EINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, "is no socket"));
	ck_assert_int_eq(unlink(socket_path), 0);
}
END_TEST

START_TEST(test_nobody_is_there)
{
	struct client *client = NULL;
	struct client_options options = {.server = "unix:/nowhere/picket.sock"};
	struct api_request request = {.method = TEXT("GET"), .path = TEXT("/v1/status")};
	struct api_response response = {0};
	struct error err = {0};
	ck_assert_int_eq(client_new(&options, &client, &err), OK);
	ck_assert_int_eq(client_ask(client, &request, &response, &err), EUNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "is `picket run` up"));
	client_free(&client);
	options.server = "ftp://x";
	ck_assert_int_eq(client_new(&options, &client, &err), EINVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *all = tcase_create("all");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	tcase_set_timeout(all, 60);
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_socket_has_every_right);
	tcase_add_test(all, test_audit_names_the_caller);
	tcase_add_test(all, test_tcp_has_the_role_gate_read);
	tcase_add_test(all, test_methods);
	tcase_add_test(all, test_nul_in_a_parameter);
	tcase_add_test(all, test_tls);
	tcase_add_test(all, test_rebinding_is_refused);
	tcase_add_test(all, test_token);
	tcase_add_test(all, test_paths_do_not_slip_through);
	tcase_add_test(all, test_large_body);
	tcase_add_test(all, test_large_header);
	tcase_add_test(all, test_second_daemon_is_refused);
	tcase_add_test(all, test_left_over_socket_is_replaced);
	tcase_add_test(all, test_file_in_the_way_is_not_deleted);
	tcase_add_test(all, test_nobody_is_there);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	curl_global_cleanup();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
