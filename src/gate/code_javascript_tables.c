/* JavaScript's functions that matter: of Node.js, Deno, Bun, browsers and packages in wide use.
 * Sorted by name in the order of strcmp(); a test checks it. */
#include "gate/code_javascript.h"

#include <ctype.h>
#include <string.h>

/* A worker evaluates its first argument only when it is told to. */
static void javascript_judge_worker(struct code_run *run, const struct call *call, const char *rule)
{
	if (call_option_is_on(run, call, "eval"))
		judge_evaluation(run, call, rule);
}

static void judge_import_javascript(struct code_run *run, const struct call *call, const char *rule)
{
	struct value module = call_value(run, call, 0);
	if (!module.text || !module.exact) {
		if (call->count > 0)
			report(run, rule, call->node);
		return;
	}
	size_t length = strlen(module.text);
	if (length > strlen(".node") &&
		strcmp(module.text + length - strlen(".node"), ".node") == 0)
		report(run, "native", call->node);
	const char *name = javascript_module(run, module.text);
	if (!name)
		return;
	if (module_rule_of(run, name) && (module.folded || call->function.disguised))
		report(run, "disguised", call->node);
	check_module(run, call->node, name);
}

/* ---- outcomes ---- */

static bool fold_require(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value module = value_of(run, call_argument(call, 0), depth + 1);
	if (!module.text || !module.exact)
		return false;
	const char *name = javascript_module(run, module.text);
	*ret = (struct value){.name = name, .imported = name != NULL, .disguised = module.folded};
	return name != NULL;
}

static bool fold_buffer(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value encoding = value_of(run, call_argument(call, 1), depth + 1);
	if (!encoding.text)
		return fold_first(run, call, depth, ret) && ret->text;
	bool done = strncmp(encoding.text, "base64", strlen("base64")) == 0
			    ? fold_base64(run, call, depth, ret)
		    : strcmp(encoding.text, "hex") == 0
			    ? fold_hexadecimal(run, call, depth, ret)
			    : fold_first(run, call, depth, ret) && ret->text;
	if (done && !ret->name)
		ret->name = value_of_result(run, call->function).name;
	return done;
}

/* unescape("%65%76") */
static bool fold_percent(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value text = value_of(run, call_argument(call, 0), depth + 1);
	if (!text.text || !text.exact)
		return false;
	char *plain = arena_take(&run->scratch, strlen(text.text) + 1);
	if (!plain)
		return false;
	size_t used = 0;
	for (const char *c = text.text; *c; c++) {
		unsigned byte;
		bool escaped = c[0] == '%' && isxdigit((unsigned char)c[1]) &&
			       isxdigit((unsigned char)c[2]) && sscanf(c + 1, "%2x", &byte) == 1;
		plain[used++] = escaped ? byte : *c;
		c += escaped ? 2 : 0;
	}
	*ret = value_text(run, plain, used, true);
	ret->folded = true;
	ret->name = value_of_result(run, call->function).name;
	return true;
}

static bool fold_home(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	(void)run;
	(void)call;
	(void)depth;
	*ret = (struct value){.text = "~", .exact = true};
	return true;
}

/* Reflect.get(process, "binding") */
static bool fold_reflect(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value object = value_of(run, call_argument(call, 0), depth + 1);
	struct value name = value_of(run, call_argument(call, 1), depth + 1);
	if (!object.name || !name.text || !name.exact)
		return false;
	*ret = run->grammar->member(run, object, name.text, false);
	ret->disguised = true;
	return true;
}

/* ---- the tables ---- */

const struct sink javascript_sinks[] = {
	{"@axios", "network", judge_network},
	{"@axios.*", "network", judge_network},
	{"@bindings", "native", judge_plain},
	{"@buffer.Buffer.from", "decode", NULL},
	{"@bun.$", "shell", judge_plain},
	{"@bun.spawn", "process", judge_process},
	{"@bun:ffi.dlopen", "native", judge_plain},
	{"@child_process.exec", "shell", judge_shell},
	{"@child_process.execFile", "process", judge_process},
	{"@child_process.execFileSync", "process", judge_process},
	{"@child_process.execSync", "shell", judge_shell},
	{"@child_process.fork", "process", judge_process},
	{"@child_process.spawn", "process", judge_process},
	{"@child_process.spawnSync", "process", judge_process},
	{"@cluster.fork", "process", judge_process},
	{"@cross-spawn", "process", judge_process},
	{"@cross-spawn.spawn", "process", judge_process},
	{"@cross-spawn.sync", "process", judge_process},
	{"@crypto.createDecipher", "decode", NULL},
	{"@crypto.createDecipheriv", "decode", NULL},
	{"@del", "delete-tree", judge_deletion},
	{"@del.*", "delete-tree", judge_deletion},
	{"@dgram.createSocket", "network", judge_network},
	{"@dns.resolve", "network", judge_network},
	{"@dns.resolve4", "network", judge_network},
	{"@dns.resolveTxt", "network", judge_network},
	{"@execa", "process", judge_process},
	{"@execa.$", "shell", judge_plain},
	{"@execa.command", "shell", judge_shell},
	{"@execa.commandSync", "shell", judge_shell},
	{"@execa.execa", "process", judge_process},
	{"@execa.execaCommand", "shell", judge_shell},
	{"@execa.execaCommandSync", "shell", judge_shell},
	{"@execa.execaSync", "process", judge_process},
	{"@execa.sync", "process", judge_process},
	{"@ffi-napi.Library", "native", judge_plain},
	{"@ffi.Library", "native", judge_plain},
	{"@fs.appendFile", "persistence-write", judge_write},
	{"@fs.appendFileSync", "persistence-write", judge_write},
	{"@fs.chmod", "permissions", judge_permissions},
	{"@fs.chmodSync", "permissions", judge_permissions},
	{"@fs.copy", "persistence-write", judge_write},
	{"@fs.copyFile", "persistence-write", judge_write},
	{"@fs.copyFileSync", "persistence-write", judge_write},
	{"@fs.copySync", "persistence-write", judge_write},
	{"@fs.createWriteStream", "persistence-write", judge_write},
	{"@fs.emptyDir", "delete-tree", judge_deletion},
	{"@fs.emptyDirSync", "delete-tree", judge_deletion},
	{"@fs.fchmod", "permissions", judge_permissions},
	{"@fs.lchmod", "permissions", judge_permissions},
	{"@fs.link", "persistence-write", judge_write},
	{"@fs.linkSync", "persistence-write", judge_write},
	{"@fs.move", "persistence-write", judge_write},
	{"@fs.open", "persistence-write", judge_open},
	{"@fs.openSync", "persistence-write", judge_open},
	{"@fs.outputFile", "persistence-write", judge_write},
	{"@fs.outputFileSync", "persistence-write", judge_write},
	{"@fs.remove", "delete-tree", judge_deletion},
	{"@fs.removeSync", "delete-tree", judge_deletion},
	{"@fs.rename", "persistence-write", judge_write},
	{"@fs.renameSync", "persistence-write", judge_write},
	{"@fs.rm", "delete-loop", judge_one_deletion},
	{"@fs.rmSync", "delete-loop", judge_one_deletion},
	{"@fs.rmdir", "delete-loop", judge_one_deletion},
	{"@fs.rmdirSync", "delete-loop", judge_one_deletion},
	{"@fs.symlink", "persistence-write", judge_write},
	{"@fs.symlinkSync", "persistence-write", judge_write},
	{"@fs.unlink", "delete-loop", judge_one_deletion},
	{"@fs.unlinkSync", "delete-loop", judge_one_deletion},
	{"@fs.writeFile", "persistence-write", judge_write},
	{"@fs.writeFileSync", "persistence-write", judge_write},
	{"@got", "network", judge_network},
	{"@got.*", "network", judge_network},
	{"@http.createServer", "network-listen", judge_plain},
	{"@http.get", "network", judge_network},
	{"@http.request", "network", judge_network},
	{"@http2.connect", "network", judge_network},
	{"@http2.createSecureServer", "network-listen", judge_plain},
	{"@http2.createServer", "network-listen", judge_plain},
	{"@https.createServer", "network-listen", judge_plain},
	{"@https.get", "network", judge_network},
	{"@https.request", "network", judge_network},
	{"@koffi.load", "native", judge_plain},
	{"@ky", "network", judge_network},
	{"@ky.*", "network", judge_network},
	{"@module()._compile", "evaluate", judge_evaluation},
	{"@module.createRequire()", "import-dynamic", judge_import_javascript},
	{"@needle", "network", judge_network},
	{"@needle.*", "network", judge_network},
	{"@net.Server", "network-listen", judge_plain},
	{"@net.Socket().connect", "network", judge_network},
	{"@net.connect", "network", judge_network},
	{"@net.createConnection", "network", judge_network},
	{"@net.createServer", "network-listen", judge_plain},
	{"@node-fetch", "network", judge_network},
	{"@node-gyp-build", "native", judge_plain},
	{"@node-pty.spawn", "process", judge_process},
	{"@nodemailer.createTransport", "network", judge_network},
	{"@open", "process", judge_process},
	{"@phin", "network", judge_network},
	{"@qs.stringify", "environment-dump", judge_dump},
	{"@querystring.stringify", "environment-dump", judge_dump},
	{"@request", "network", judge_network},
	{"@request.*", "network", judge_network},
	{"@rimraf", "delete-tree", judge_deletion},
	{"@rimraf.*", "delete-tree", judge_deletion},
	{"@shelljs.exec", "shell", judge_shell},
	{"@shelljs.rm", "delete-tree", judge_deletion},
	{"@socket.io-client", "network", judge_network},
	{"@socket.io-client.io", "network", judge_network},
	{"@ssh2.Client", "network", judge_network},
	{"@superagent.*", "network", judge_network},
	{"@tls.connect", "network", judge_network},
	{"@tls.createServer", "network-listen", judge_plain},
	{"@trash", "delete-tree", judge_deletion},
	{"@undici.fetch", "network", judge_network},
	{"@undici.request", "network", judge_network},
	{"@undici.stream", "network", judge_network},
	{"@util.inspect", "environment-dump", judge_dump},
	{"@v8.serialize", "environment-dump", judge_dump},
	{"@vm.Script", "evaluate", judge_evaluation},
	{"@vm.SourceTextModule", "evaluate", judge_evaluation},
	{"@vm.compileFunction", "evaluate", judge_evaluation},
	{"@vm.default.Script", "evaluate", judge_evaluation},
	{"@vm.runInContext", "evaluate", judge_evaluation},
	{"@vm.runInNewContext", "evaluate", judge_evaluation},
	{"@vm.runInThisContext", "evaluate", judge_evaluation},
	{"@vm2.NodeVM().run", "evaluate", judge_evaluation},
	{"@vm2.VM().run", "evaluate", judge_evaluation},
	{"@worker_threads.Worker", "evaluate", javascript_judge_worker},
	{"@ws", "network", judge_network},
	{"@ws.Server", "network-listen", judge_plain},
	{"@ws.WebSocket", "network", judge_network},
	{"@ws.WebSocketServer", "network-listen", judge_plain},
	{"@zlib.brotliDecompressSync", "decode", NULL},
	{"@zlib.gunzipSync", "decode", NULL},
	{"@zlib.inflateRawSync", "decode", NULL},
	{"@zlib.inflateSync", "decode", NULL},
	{"@zlib.unzipSync", "decode", NULL},
	{"@zx.$", "shell", judge_plain},
	{"Buffer", "decode", NULL},
	{"Buffer.from", "decode", NULL},
	{"Bun.$", "shell", judge_plain},
	{"Bun.connect", "network", judge_network},
	{"Bun.listen", "network-listen", judge_plain},
	{"Bun.serve", "network-listen", judge_plain},
	{"Bun.spawn", "process", judge_process},
	{"Bun.spawnSync", "process", judge_process},
	{"Bun.write", "persistence-write", judge_write},
	{"Deno.Command", "process", judge_process},
	{"Deno.chmod", "permissions", judge_permissions},
	{"Deno.chmodSync", "permissions", judge_permissions},
	{"Deno.connect", "network", judge_network},
	{"Deno.connectTls", "network", judge_network},
	{"Deno.dlopen", "native", judge_plain},
	{"Deno.listen", "network-listen", judge_plain},
	{"Deno.remove", "delete-loop", judge_one_deletion},
	{"Deno.removeSync", "delete-loop", judge_one_deletion},
	{"Deno.run", "process", judge_process},
	{"Deno.serve", "network-listen", judge_plain},
	{"Deno.writeFile", "persistence-write", judge_write},
	{"Deno.writeFileSync", "persistence-write", judge_write},
	{"Deno.writeTextFile", "persistence-write", judge_write},
	{"Deno.writeTextFileSync", "persistence-write", judge_write},
	{"EventSource", "network", judge_network},
	{"Function", "evaluate", judge_evaluation},
	{"JSON.stringify", "environment-dump", judge_dump},
	{"String.fromCharCode", "decode", NULL},
	{"String.fromCodePoint", "decode", NULL},
	{"TextDecoder().decode", "decode", NULL},
	{"URLSearchParams", "environment-dump", judge_dump},
	{"WebSocket", "network", judge_network},
	{"Worker", "evaluate", javascript_judge_worker},
	{"XMLHttpRequest", "network", judge_network},
	{"atob", "decode", NULL},
	{"decodeURIComponent", "decode", NULL},
	{"eval", "evaluate", judge_evaluation},
	{"execScript", "evaluate", judge_evaluation},
	{"fetch", "network", judge_network},
	{"import", "import-dynamic", judge_import_javascript},
	{"internalBinding", "process-binding", judge_plain},
	{"module._compile", "evaluate", judge_evaluation},
	{"navigator.sendBeacon", "network", judge_network},
	{"process._linkedBinding", "process-binding", judge_plain},
	{"process.binding", "process-binding", judge_plain},
	{"process.dlopen", "native", judge_plain},
	{"process.getBuiltinModule", "import-dynamic", judge_import_javascript},
	{"process.umask", "permissions", judge_permissions},
	{"require", "import-dynamic", judge_import_javascript},
	{"setImmediate", "timer-text", judge_evaluation},
	{"setInterval", "timer-text", judge_evaluation},
	{"setTimeout", "timer-text", judge_evaluation},
	{"unescape", "decode", NULL},
};
const size_t javascript_sinks_count = ARRAY_SIZE(javascript_sinks);

const struct fold javascript_folds[] = {
	{"@buffer.Buffer.from", fold_buffer},
	{"@module.createRequire()", fold_require},
	{"@os.homedir", fold_home},
	{"@path.join", fold_joined_path},
	{"@path.normalize", fold_first},
	{"@path.posix.join", fold_joined_path},
	{"@path.resolve", fold_joined_path},
	{"@util.callbackify", fold_first},
	{"@util.promisify", fold_first},
	{"Buffer", fold_buffer},
	{"Buffer.from", fold_buffer},
	{"Object.freeze", fold_first},
	{"Reflect.get", fold_reflect},
	{"String", fold_first},
	{"String.fromCharCode", fold_characters},
	{"String.fromCodePoint", fold_characters},
	{"atob", fold_base64},
	{"decodeURI", fold_percent},
	{"decodeURIComponent", fold_percent},
	{"import", fold_require},
	{"process.getBuiltinModule", fold_require},
	{"require", fold_require},
	{"unescape", fold_percent},
};
const size_t javascript_folds_count = ARRAY_SIZE(javascript_folds);

const struct module_rule javascript_modules[] = {
	{"@axios", "import-network"},
	{"@bindings", "import-native"},
	{"@bun:ffi", "import-native"},
	{"@child_process", "import-process"},
	{"@cluster", "import-process"},
	{"@cross-spawn", "import-process"},
	{"@dgram", "import-network"},
	{"@dns", "import-network"},
	{"@execa", "import-process"},
	{"@ffi", "import-native"},
	{"@ffi-napi", "import-native"},
	{"@got", "import-network"},
	{"@http", "import-network"},
	{"@http2", "import-network"},
	{"@https", "import-network"},
	{"@inspector", "import-evaluate"},
	{"@isolated-vm", "import-evaluate"},
	{"@koffi", "import-native"},
	{"@needle", "import-network"},
	{"@net", "import-network"},
	{"@node-fetch", "import-network"},
	{"@node-gyp-build", "import-native"},
	{"@node-pty", "import-process"},
	{"@nodemailer", "import-network"},
	{"@playwright", "import-network"},
	{"@puppeteer", "import-network"},
	{"@ref-napi", "import-native"},
	{"@repl", "import-evaluate"},
	{"@request", "import-network"},
	{"@shelljs", "import-process"},
	{"@socket.io-client", "import-network"},
	{"@ssh2", "import-network"},
	{"@superagent", "import-network"},
	{"@tls", "import-network"},
	{"@undici", "import-network"},
	{"@vm", "import-evaluate"},
	{"@vm2", "import-evaluate"},
	{"@ws", "import-network"},
	{"@zx", "import-process"},
};
const size_t javascript_modules_count = ARRAY_SIZE(javascript_modules);
