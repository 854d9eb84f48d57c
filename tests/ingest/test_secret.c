/* Every detector: what it finds, to the byte, and what it must leave alone. */
#include "ingest/secret.h"

#include "decoding.h"

/* << and >> stand around what must be found; no mark: nothing may be. */
static const struct {
	const char *name, *value, *kind;
} cases[] = {
	/* private keys */
	{"", "x <<-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----->> y",
	 "private_key"},
	{"", "<<-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Bl\\n-----END OPENSSH PRIVATE KEY----->>",
	 "private_key"},
	{"", "k<<-----BEGIN PRIVATE KEY-----\nMIIE cut off>>", "private_key"},
	{"", "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", NULL},
	{"", "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----", NULL},
	{"", "<<AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ>>",
	 "private_key"},
	/* JWT */
	{"", "t=<<eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P>>;", "jwt"},
	{"", "<<eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.>>", "jwt"},
	{"", "<<eyJhbGciOiJkaXIifQ..aaaa.bbbb.cccc>>", "jwt"},
	{"", "eyJhbGciOiJIUzI1NiJ9", NULL},
	{"", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0", NULL},
	{"", "xeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", NULL},
	/* bearer and basic */
	{"", "Authorization: Bearer <<abcdefghij0123456789>>", "bearer"},
	{"", "authorization: bearer <<eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc>>", "jwt"},
	{"", "h=Bearer%20<<abcdefghij0123456789>>&x", "bearer"},
	{"", "Bearer short1", NULL},
	{"", "bearer authentication-is-required-here", NULL},
	{"", "Basic <<YWxpY2U6b3BlbnNlc2FtZQ==>>", "basic"},
	{"", "basic knowledge", NULL},
	/* tokens that say what they are */
	{"", "git clone https://<<ghp_0123456789abcdefghijABCDEFGHIJ012345>>@github.com", "token"},
	{"", "<<github_pat_11ABCDEFG0abcdefghij_KLMNOPQRST>>", "token"},
	{"", "<<glpat-abcdefghij0123456789>>", "token"},
	{"", "<<xoxb-123456789012-abcdef>>", "token"},
	{"", "<<sk_live_0123456789abcdef>>", "token"},
	{"", "<<npm_0123456789abcdefghijABCDEFGHIJ012345>>", "token"},
	{"", "<<hvs.CAESIJabcdefghijklmnopqrst>>", "token"},
	{"", "ghp_tooshort", NULL},
	{"", "sk_test_0123456789abcdef", NULL},
	/* cloud keys */
	{"", "key=<<AIzaSyA0123456789abcdefghijklmnopqrstuv>>", "cloud_key"},
	{"", "<<ya29.a0AfH6SMBabcdefghijklmnop>>", "cloud_key"},
	{"", "aws_secret_access_key = <<wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY>>", "credential"},
	{"",
	 "AccountName=x;AccountKey=<<Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2U>>;E=1",
	 "credential"},
	{"userIdentity.accessKeyId", "AKIAIOSFODNN7EXAMPLE", NULL}, /* names a key, is none */
	/* credentials by name */
	{"user.password", "<<hunter2>>", "credential"},
	{"db_password", "<<hunter2>>", "credential"},
	{"http.request.headers.x-api-key", "<<0a1b2c3d>>", "credential"},
	{"requestParameters.clientSecret", "<<s3cr3t value>>", "credential"},
	{"headers.Authorization", "<<Bearer abcdefghij0123456789>>", "credential"},
	{"password", "********", NULL},
	{"password", "[redacted]", NULL},
	{"requestParameters.password", "HIDDEN_DUE_TO_SECURITY_REASONS", NULL},
	{"password_reset", "by mail", NULL},
	{"event.token", "kind", NULL},
	{"secretId", "prod/db", NULL},
	{"", "login?user=a&password=<<hunter2>>&x=1", "credential"},
	{"", "{\"password\":\"<<hunter2>>\"}", "credential"},
	{"", "{\\\"refresh_token\\\":\\\"<<0AQ-abc>>\\\"}", "credential"},
	{"", "failed\\npassword=<<hunter2>>", "credential"},
	{"", "password: <<hunter2>>", "credential"},
	{"", "Password: changed by the user", NULL},
	{"", "the password was wrong", NULL},
	{"", "password=null", NULL},
	{"", "Cookie: '<<session=abc; other>>'", "credential"},
	/* cards */
	{"", "card <<4111111111111111>>", "pan"}, /* the word before it is the context */
	{"", "4111111111111111", NULL},
	{"payment.card_number", "<<4111111111111111>>", "pan"},
	{"", "paid with <<4111 1111 1111 1111>>.", "pan"},
	{"", "amex <<3782 822463 10005>>", "pan"},
	{"card", "4111111111111112", NULL}, /* Luhn */
	{"card", "9111111111111111", NULL}, /* no issuer */
	{"card", "41111111111111110", NULL},
	{"", "trace 4111-1111-1111-1111-1", NULL},
	{"", "1795305600000000 1795305600000000", NULL},
	{"order.id", "5555555555554444", NULL},
	{"credit.number", "<<5555555555554444>>", "pan"},
};

static void check_case(int index)
{
	char value[512] = "";
	size_t begin = 0;
	size_t end = 0;
	size_t size = 0;
	for (const char *at = cases[index].value; *at != '\0'; at++) {
		if (strncmp(at, "<<", 2) == 0 || strncmp(at, ">>", 2) == 0) {
			*(at[0] == '<' ? &begin : &end) = size;
			at++;
			continue;
		}
		value[size++] = *at;
	}
	struct secret_span span = {0};
	struct text text = {value, size};
	bool found = secret_find(text_of(cases[index].name), text, 0, &span);
	ck_assert_msg(found == (cases[index].kind != NULL), "%s", value);
	if (!found)
		return;
	ck_assert_str_eq(secret_name(span.kind), cases[index].kind);
	ck_assert_msg(span.begin == begin && span.end == end, "%s: %zu to %zu", value, span.begin,
		      span.end);
}

START_TEST(a_detector_finds_what_it_should)
{
	check_case(_i);
}
END_TEST

static bool contains_literal(const char *value)
{
	char literal[SECRET_LITERAL_MAX];
	bool caseless = false;
	for (size_t i = 0; secret_literal(i, literal, &caseless); i++)
		if ((caseless ? strcasestr(value, literal) : strstr(value, literal)) != NULL)
			return true;
	return false;
}

/* The filter in front of the detectors lets everything through that one of them finds. */
START_TEST(what_is_found_has_a_literal_or_digits)
{
	const char *value = cases[_i].value;
	if (cases[_i].kind == NULL || contains_literal(cases[_i].name))
		return;
	char plain[512];
	size_t size = 0;
	for (const char *at = value; *at != '\0'; at++)
		if (strncmp(at, "<<", 2) != 0 && strncmp(at, ">>", 2) != 0)
			plain[size++] = *at;
		else
			at++;
	plain[size] = '\0';
	ck_assert_msg(contains_literal(plain) || secret_may_be_card((struct text){plain, size}),
		      "%s", plain);
}
END_TEST

START_TEST(spans_come_in_order)
{
	const struct text value =
		TEXT("password=abcd&token=x ghp_0123456789abcdefghijABCDEFGHIJ012345 "
		     "Bearer abcdefghij0123456789 secret='efgh'");
	static const char *const kinds[] = {"credential", "token", "bearer", "credential"};
	struct secret_span span = {0};
	size_t count = 0;
	for (size_t from = 0; secret_find(TEXT(""), value, from, &span); from = span.end) {
		ck_assert_uint_ge(span.begin, from);
		ck_assert_uint_lt(count, 4);
		ck_assert_str_eq(secret_name(span.kind), kinds[count++]);
	}
	ck_assert_uint_eq(count, 4);
}
END_TEST

/* Values that make a careless detector look at the same bytes again and again. */
START_TEST(time_is_linear)
{
	static const char *const pieces[] = {"eyJ",
					     "-----BEGIN ",
					     "password=",
					     "ghp_",
					     "Bearer ",
					     "1",
					     "4111 ",
					     "a-",
					     "\\\\",
					     "eyJa.",
					     "-----BEGIN PRIVATE KEY"};
	enum { SIZE = 8 * 1024 * 1024 };
	char *value = malloc(SIZE);
	ck_assert_ptr_nonnull(value);
	size_t piece = strlen(pieces[_i]);
	for (size_t i = 0; i < SIZE; i++)
		value[i] = pieces[_i][i % piece];
	struct secret_span span = {0};
	size_t from = 0;
	while (secret_find(TEXT(""), (struct text){value, SIZE}, from, &span))
		from = span.end;
	free(value); /* a square would take hours, and the test's time-out seconds */
}
END_TEST

START_TEST(random_card_numbers_need_a_context)
{
	uint64_t state = 88172645463325252;
	unsigned bare = 0;
	for (int i = 0; i < 100000; i++) {
		char number[24];
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		(void)snprintf(number, sizeof number, "id=4%015llu",
			       (unsigned long long)(state % 1000000000000000));
		struct secret_span span = {0};
		bare += secret_find(TEXT("request"), text_of(number), 0, &span);
	}
	ck_assert_uint_eq(bare, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("secret");
	TCase *tests = tcase_create("secret");
	int count = (int)(sizeof cases / sizeof *cases);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, a_detector_finds_what_it_should, 0, count);
	tcase_add_loop_test(tests, what_is_found_has_a_literal_or_digits, 0, count);
	tcase_add_test(tests, spans_come_in_order);
	tcase_add_loop_test(tests, time_is_linear, 0, 11);
	tcase_add_test(tests, random_card_numbers_need_a_context);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
