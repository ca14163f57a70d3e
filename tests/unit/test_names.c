/* The tables of names: each row of a test says what must match, and what must not. */
#include "base/cleanup.h"
#include "policy/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void protected_names_match_in_every_spelling(void **state)
{
	(void)state;
	static const char *const names[][2] = {
		{".git", ".git"},
		{".GIT", ".git"},
		{".Git ", ".git"},
		{".git. . ", ".git"},
		{"git~1", ".git"},
		{"GIT~1", ".git"},
		{".git::$INDEX_ALLOCATION", ".git"},
		{".g\xe2\x80\x8cit", ".git"},          /* ZERO WIDTH NON-JOINER */
		{"\xef\xbb\xbf.git", ".git"},          /* BYTE ORDER MARK */
		{".git\xc2\xad", ".git"},              /* SOFT HYPHEN */
		{".gitmodule\xc5\xbf", ".gitmodules"}, /* LONG S */
		{"gitmod~1", ".gitmodules"},
		{"GI7EBA~1", ".gitmodules"},
		{".vscode", ".vscode"},
		{"vscode~2", ".vscode"},
		{".mcp.json", ".mcp.json"},
		{"MCP~1.JSO", ".mcp.json"},
		{".Codex", ".codex"},
		{".claude", ".claude"},
		{".agents", ".agents"},
		{".coffer", ".coffer"},
		{".idea", ".idea"},
		{".envrc", ".envrc"},
		{".bashrc", ".bashrc"},
		{".zshenv", ".zshenv"},
		{".bash_profile", ".bash_profile"},
		{".profile", ".profile"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *found = names_protected(names[i][0]);
		assert_non_null(found);
		assert_string_equal(found, names[i][1]);
	}
}

static void ordinary_names_are_not_protected(void **state)
{
	(void)state;
	static const char *const names[] = {"git", ".gitignore", ".gitattributes", ".github", ".gi",
		".git2", "x.git", "main.c", ".env", "git~", "git~0", "git~12", "~1", "", ".", "..",
		". .", ".vscode-test", "mcp.json", "bashrc", "\xff.git", ".g\xadit", ".\xe2\x80git",
		"README~1"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names_protected(names[i]))
			fail_msg("%s is taken for %s", names[i], names_protected(names[i]));
}

static void a_name_longer_than_any_is_judged_by_its_beginning(void **state)
{
	(void)state;
	char name[1024];
	memset(name, ' ', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memcpy(name, ".git", 4);
	assert_non_null(names_protected(name));
	memset(name, 'a', sizeof(name) - 1);
	assert_null(names_protected(name));
	assert_null(names_secret(name));
}

static void secrets_match(void **state)
{
	(void)state;
	static const char *const names[] = {".env", ".ENV", ".env.local", ".env.production",
		".env-staging", "prod.env", "server.pem", "server.key", "id_rsa", "id_ed25519",
		"id_rsa.bak", "deploy_rsa", "store.p12", "store.pfx", "app.keystore", "app.jks",
		".npmrc", ".pypirc", ".netrc", ".git-credentials", "credentials",
		"credentials.json", "service-account.json", "service-account-prod.json",
		"secrets.yml", "secrets.yaml", "vault.kdbx", ".htpasswd", "terraform.tfstate",
		"terraform.tfstate.backup", "prod.auto.tfvars", "x-firebase-adminsdk-abc-0123.json",
		"client_secret_12.json"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!names_secret(names[i]))
			fail_msg("%s is taken for no secret", names[i]);
	assert_string_equal(names_secret(".env.local"), ".env.*");
}

static void examples_and_public_halves_are_no_secrets(void **state)
{
	(void)state;
	static const char *const names[] = {".env.example", ".env.sample", ".env.template",
		".env.dist", ".env.local.example", ".env-example", "example.env", ".envrc",
		".environment", "id_rsa.pub", "id_ed25519.pub", "service-account.example.json",
		"terraform.tfvars.example", "example.tfvars", "credentials.yml.enc",
		"serviceaccount.yaml", "keyboard.c", "monkey", "tokens.c", "environment.ts",
		"pem.c", "credentials.py", "README.md", "a", ""};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names_secret(names[i]))
			fail_msg("%s is taken for %s", names[i], names_secret(names[i]));
}

static void folders(void **state)
{
	(void)state;
	assert_true(names_is_dependency_folder("node_modules"));
	assert_true(names_is_dependency_folder(".venv"));
	/* People keep repositories of their own in these. */
	assert_false(names_is_dependency_folder("vendor"));
	assert_false(names_is_dependency_folder("build"));
	assert_false(names_is_dependency_folder("src"));
	assert_string_equal(names_secret_directory(".ssh"), ".ssh");
	assert_null(names_secret_directory("ssh"));
	assert_null(names_secret_directory(".github"));
}

static void credentials_are_clean_relative_paths_without_doubles(void **state)
{
	(void)state;
	size_t count;
	const struct names_credential *table = names_credentials(&count);
	assert_true(count > 50);
	bool ssh = false;
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(table[i].path);
		assert_true(
			length > 0 && table[i].path[0] != '/' && table[i].path[length - 1] != '/');
		assert_null(strstr(table[i].path, ".."));
		assert_true(strlen(table[i].what) > 0);
		ssh |= strcmp(table[i].path, ".ssh") == 0 && table[i].directory;
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(table[i].path, table[j].path);
	}
	assert_true(ssh);
}

static void environment(void **state)
{
	(void)state;
	static const char *const ordinary[] = {"PATH", "HOME", "LANG", "LC_ALL", "LC_TIME", "TERM",
		"CI", "NO_COLOR", "CFLAGS", "JAVA_HOME", "PYTHONPATH", "npm_config_registry",
		"VIRTUAL_ENV"};
	static const char *const not_ordinary[] = {"", "PATHS", "LD_PRELOAD", "SSH_AUTH_SOCK",
		"TMPDIR", "DATABASE_URL", "DBUS_SESSION_BUS_ADDRESS", "HOM", "path", "BASH_ENV",
		"LC"};
	for (size_t i = 0; i < ARRAY_SIZE(ordinary); i++) {
		assert_true(names_environment_ordinary(ordinary[i]));
		assert_false(names_environment_secret(ordinary[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_ordinary); i++)
		assert_false(names_environment_ordinary(not_ordinary[i]));
}

static void environment_secrets(void **state)
{
	(void)state;
	static const char *const secret[] = {"API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY",
		"AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "GH_PAT", "DB_PASSWORD", "PGPASSWORD",
		"MYSQL_PWD", "GOOGLE_APPLICATION_CREDENTIALS", "npm_config_//host/:_authToken",
		"npm_config__auth", "apiKey", "APIKEY", "KEY1", "SSH_AUTH_SOCK", "SESSION_COOKIE",
		"SIGNING_PRIVATE_PEM", "DATABASE_URL", "SENTRY_DSN",
		"AZURE_STORAGE_CONNECTION_STRING", "SLACK_WEBHOOK", "ghToken",
		"A_VERY_LONG_NAME_INDEED_THAT_GOES_ON_AND_ON_AND_ON_FOR_"
		"MORE_THAN_SIXTY_FOUR_LETTERS_TOKEN",
		"averylongwordindeedthatgoesonandonandonformorethansixtyfourletterspassword"};
	static const char *const harmless[] = {"KEYBOARD", "MONKEY", "GIT_AUTHOR_NAME", "AUTHOR",
		"TOKENIZERS_PARALLELISM", "PWD", "OLDPWD", "COMPASS", "PATH", "PATTERN",
		"LESSKEYIN", "", "_", "KEYMAP", "BYPASSED"};
	for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
		if (!names_environment_secret(secret[i]))
			fail_msg("%s is taken for harmless", secret[i]);
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (names_environment_secret(harmless[i]))
			fail_msg("%s is taken for a secret", harmless[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protected_names_match_in_every_spelling),
		cmocka_unit_test(ordinary_names_are_not_protected),
		cmocka_unit_test(a_name_longer_than_any_is_judged_by_its_beginning),
		cmocka_unit_test(secrets_match),
		cmocka_unit_test(examples_and_public_halves_are_no_secrets),
		cmocka_unit_test(folders),
		cmocka_unit_test(credentials_are_clean_relative_paths_without_doubles),
		cmocka_unit_test(environment),
		cmocka_unit_test(environment_secrets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
