/* Python's functions that matter. Sorted by name in the order of strcmp(); a test checks it. */
#include "gate/code_python.h"

#include <string.h>

/* A member of such a module that is reached by a name that is not known could be any of them. */
static bool is_grave_module(const char *name)
{
	static const char *const modules[] = {"os", "posix", "subprocess", "builtins",
		"__builtins__", "__builtin__", "ctypes", "pty"};
	for (size_t i = 0; name && i < ARRAY_SIZE(modules); i++)
		if (strcmp(name, modules[i]) == 0)
			return true;
	return false;
}

static void python_judge_getattr(struct code_run *run, const struct call *call, const char *rule)
{
	struct value object = call_value(run, call, 0), member = call_value(run, call, 1);
	if (is_grave_module(object.name) && call->count > 1 && !(member.text && member.exact))
		report(run, rule, call->node);
}

static void python_judge_setattr(struct code_run *run, const struct call *call, const char *rule)
{
	(void)rule;
	struct value object = call_value(run, call, 0), member = call_value(run, call, 1);
	if (object.name && call->count > 1)
		python_check_tampering(run, call->node, object, member.text ? member.text : "");
}

/* os.dup2(connection.fileno(), 0) */
static void python_judge_duplicate(struct code_run *run, const struct call *call, const char *rule)
{
	struct value from = call_value(run, call, 0);
	const char *to = node_text(run, call_argument(call, 1));
	bool socket = from.name && strncmp(from.name, "socket.", strlen("socket.")) == 0;
	if (socket && strlen(to) == 1 && *to >= '0' && *to <= '2')
		report(run, rule, call->node);
}

void python_check_tampering(
	struct code_run *run, TSNode where, struct value object, const char *name)
{
	static const char *const guarded[] = {
		"os", "subprocess", "socket", "ssl", "importlib", "urllib.request", "requests"};
	static const char *const builtins[] = {"__import__", "open", "eval", "exec", "compile",
		"print", "input", "getattr", "setattr", "type", "str", "bytes", "int", "len",
		"list", "dict", "isinstance", "hash", "id", "iter", "range", "sorted", "repr", ""};
	if (strcmp(object.name, "builtins") == 0 || strcmp(object.name, "__builtins__") == 0 ||
		strcmp(object.name, "__builtin__") == 0) {
		/* Installing a name of one's own (gettext's _) replaces nothing. */
		for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
			if (strcmp(name, builtins[i]) == 0)
				report(run, "tamper-builtins", where);
		return;
	}
	if (strcmp(object.name, "sys") == 0) {
		if (strcmp(name, "meta_path") == 0 || strcmp(name, "path_hooks") == 0)
			report(run, "tamper-import", where);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
		if (strcmp(object.name, guarded[i]) != 0 || !*name)
			continue;
		bool https = strcmp(name, "_create_default_https_context") == 0;
		report(run, https ? "tls-unchecked" : "monkeypatch", where);
		return;
	}
}

/* ---- outcomes ---- */

static struct value path_of(struct code_run *run, struct value value)
{
	value.name = arena_copy(&run->scratch, "pathlib.Path()", strlen("pathlib.Path()"));
	value.folded = false;
	return value;
}

static bool python_fold_path(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value joined = {0};
	if (call->count > 0 && !fold_joined_path(run, call, depth, &joined))
		joined = (struct value){0};
	if (call->object.text && joined.text) { /* base.joinpath(...) */
		char path[MAX_VALUE_BYTES];
		snprintf(path, sizeof(path), "%s/%s", call->object.text, joined.text);
		joined = value_text(run, path, strlen(path), joined.exact && call->object.exact);
	}
	*ret = path_of(run, joined);
	return true;
}

/* bytes([101, 118]), or what it is made of. */
static bool python_fold_bytes(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	return fold_characters(run, call, depth, ret) || fold_first(run, call, depth, ret);
}

static bool python_fold_same(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	(void)depth;
	*ret = path_of(run, call->object);
	return true;
}

static bool python_fold_home(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	(void)call;
	(void)depth;
	*ret = path_of(run, value_text(run, "~", 1, true));
	return true;
}

static bool python_fold_getattr(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value object = value_of(run, call_argument(call, 0), depth + 1);
	struct value member = value_of(run, call_argument(call, 1), depth + 1);
	if (!object.name || !member.text || !member.exact)
		return false;
	*ret = run->grammar->member(run, object, member.text, false);
	ret->disguised = true;
	return true;
}

static bool python_fold_import(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value module = value_of(run, call_argument(call, 0), depth + 1);
	if (!module.text || !module.exact)
		return false;
	/* __import__("a.b") is a. */
	bool plain = strcmp(call->function.name, "__import__") == 0;
	const char *name = arena_copy(&run->scratch, module.text,
		plain ? strcspn(module.text, ".") : strlen(module.text));
	*ret = (struct value){.name = name, .imported = true, .disguised = module.folded || plain};
	return true;
}

static bool python_fold_vars(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value object = value_of(run, call_argument(call, 0), depth + 1);
	if (!object.name)
		return false;
	*ret = run->grammar->member(run, object, "__dict__", false);
	return true;
}

/* sys.modules.get("os"), os.environ.get("HOME"). */
static bool python_fold_item(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value key = value_of(run, call_argument(call, 0), depth + 1);
	struct value object = call->object;
	if (!key.text || !key.exact)
		return false;
	if (strcmp(call->function.name, "os.getenv") == 0)
		object = value_named(run, "os.environ");
	if (!object.name)
		return false;
	*ret = run->grammar->member(run, object, key.text, true);
	return ret->name != NULL;
}

/* codecs.decode("...", "rot13") */
static bool python_fold_codecs(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret)
{
	struct value text = value_of(run, call_argument(call, 0), depth + 1);
	struct value codec = value_of(run, call_argument(call, 1), depth + 1);
	if (!text.text || !text.exact || !codec.text || strncmp(codec.text, "rot", 3) != 0)
		return false;
	size_t length = strlen(text.text);
	char *plain = arena_take(&run->scratch, length + 1);
	if (!plain)
		return false;
	for (size_t i = 0; i <= length; i++) {
		char c = text.text[i], base = c >= 'a' ? 'a' : 'A';
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		plain[i] = letter ? base + (c - base + 13) % 26 : c;
	}
	*ret = (struct value){.text = plain, .exact = true, .folded = true};
	ret->name = value_of_result(run, call->function).name;
	return true;
}

/* ---- the tables ---- */

const struct sink python_sinks[] = {
	{"Crypto.Cipher.AES.new().decrypt", "decode", NULL},
	{"__import__", "import-dynamic", judge_import},
	{"_ctypes.dlopen", "native", judge_plain},
	{"_pickle.load", "unmarshal", judge_plain},
	{"_pickle.loads", "unmarshal", judge_plain},
	{"_posixsubprocess.fork_exec", "process", judge_process},
	{"aiohttp.ClientSession", "network", judge_network},
	{"aiohttp.request", "network", judge_network},
	{"anyio.run_process", "process", judge_process},
	{"asyncio.create_subprocess_exec", "process", judge_process},
	{"asyncio.create_subprocess_shell", "shell", judge_shell},
	{"asyncio.open_connection", "network", judge_network},
	{"asyncio.start_server", "network-listen", judge_plain},
	{"asyncio.subprocess.create_subprocess_exec", "process", judge_process},
	{"asyncio.subprocess.create_subprocess_shell", "shell", judge_shell},
	{"base64.a85decode", "decode", NULL},
	{"base64.b16decode", "decode", NULL},
	{"base64.b32decode", "decode", NULL},
	{"base64.b64decode", "decode", NULL},
	{"base64.b85decode", "decode", NULL},
	{"base64.decodebytes", "decode", NULL},
	{"base64.standard_b64decode", "decode", NULL},
	{"base64.urlsafe_b64decode", "decode", NULL},
	{"binascii.a2b_base64", "decode", NULL},
	{"binascii.a2b_hex", "decode", NULL},
	{"binascii.unhexlify", "decode", NULL},
	{"boto3.client", "network", judge_network},
	{"boto3.resource", "network", judge_network},
	{"builtins.eval", "evaluate", judge_evaluation},
	{"bytearray.fromhex", "decode", NULL},
	{"bytes.fromhex", "decode", NULL},
	{"bz2.decompress", "decode", NULL},
	{"cPickle.load", "unmarshal", judge_plain},
	{"cPickle.loads", "unmarshal", judge_plain},
	{"cProfile.run", "evaluate", judge_evaluation},
	{"cffi.FFI().dlopen", "native", judge_plain},
	{"cffi.FFI().verify", "native", judge_plain},
	{"cffi.verifier.Verifier", "native", judge_plain},
	{"cloudpickle.load", "unmarshal", judge_plain},
	{"cloudpickle.loads", "unmarshal", judge_plain},
	{"code.InteractiveConsole().push", "evaluate", judge_evaluation},
	{"code.InteractiveInterpreter().runcode", "evaluate", judge_evaluation},
	{"code.InteractiveInterpreter().runsource", "evaluate", judge_evaluation},
	{"code.interact", "evaluate", judge_evaluation},
	{"codecs.decode", "decode", NULL},
	{"codecs.open", "persistence-write", judge_open},
	{"commands.getoutput", "shell", judge_shell},
	{"commands.getstatusoutput", "shell", judge_shell},
	{"cryptography.fernet.Fernet().decrypt", "decode", NULL},
	{"ctypes.CDLL", "native", judge_plain},
	{"ctypes.CFUNCTYPE().from_address", "native", judge_plain},
	{"ctypes.OleDLL", "native", judge_plain},
	{"ctypes.PyDLL", "native", judge_plain},
	{"ctypes.WinDLL", "native", judge_plain},
	{"ctypes.cdll.*", "native", judge_plain},
	{"ctypes.cdll.LoadLibrary", "native", judge_plain},
	{"ctypes.util.dlopen", "native", judge_plain},
	{"ctypes.windll.*", "native", judge_plain},
	{"ctypes.windll.LoadLibrary", "native", judge_plain},
	{"daemon.DaemonContext", "process-detached", judge_plain},
	{"dill.load", "unmarshal", judge_plain},
	{"dill.loads", "unmarshal", judge_plain},
	{"discord.Webhook.from_url", "network", judge_network},
	{"distutils.dir_util.remove_tree", "delete-tree", judge_deletion},
	{"eval", "evaluate", judge_evaluation},
	{"exec", "evaluate", judge_evaluation},
	{"execfile", "evaluate", judge_evaluation},
	{"ftplib.FTP", "network", judge_network},
	{"ftplib.FTP_TLS", "network", judge_network},
	{"getattr", "dynamic-member", python_judge_getattr},
	{"gzip.decompress", "decode", NULL},
	{"http.client.HTTPConnection", "network", judge_network},
	{"http.client.HTTPSConnection", "network", judge_network},
	{"http.server.HTTPServer", "network-listen", judge_plain},
	{"http.server.ThreadingHTTPServer", "network-listen", judge_plain},
	{"httplib.HTTPConnection", "network", judge_network},
	{"httplib.HTTPSConnection", "network", judge_network},
	{"httpx.AsyncClient", "network", judge_network},
	{"httpx.Client", "network", judge_network},
	{"httpx.delete", "network", judge_network},
	{"httpx.get", "network", judge_network},
	{"httpx.patch", "network", judge_network},
	{"httpx.post", "network", judge_network},
	{"httpx.put", "network", judge_network},
	{"httpx.request", "network", judge_network},
	{"httpx.stream", "network", judge_network},
	{"imaplib.IMAP4", "network", judge_network},
	{"imaplib.IMAP4_SSL", "network", judge_network},
	{"imp.load_dynamic", "native", judge_plain},
	{"imp.load_module", "import-dynamic", judge_import},
	{"imp.load_source", "import-dynamic", judge_import},
	{"importlib.__import__", "import-dynamic", judge_import},
	{"importlib.import_module", "import-dynamic", judge_import},
	{"importlib.machinery.ExtensionFileLoader", "native", judge_plain},
	{"importlib.machinery.SourceFileLoader", "import-dynamic", judge_plain},
	{"importlib.util.spec_from_file_location", "import-dynamic", judge_plain},
	{"invoke.run", "process", judge_process},
	{"io.open", "persistence-write", judge_open},
	{"joblib.load", "unmarshal", judge_plain},
	{"json.dumps", "environment-dump", judge_dump},
	{"jsonpickle.decode", "unmarshal", judge_plain},
	{"lzma.decompress", "decode", NULL},
	{"marshal.load", "unmarshal", judge_plain},
	{"marshal.loads", "unmarshal", judge_plain},
	{"multiprocessing.util.spawnv_passfds", "process", judge_process},
	{"nntplib.NNTP", "network", judge_network},
	{"nt.system", "shell", judge_shell},
	{"numexpr.evaluate", "evaluate", judge_evaluation},
	{"open", "persistence-write", judge_open},
	{"operator.attrgetter", "dynamic-member", python_judge_getattr},
	{"operator.methodcaller", "dynamic-member", python_judge_getattr},
	{"os.chmod", "permissions", judge_permissions},
	{"os.dup2", "reverse-shell", python_judge_duplicate},
	{"os.execl", "process", judge_process},
	{"os.execle", "process", judge_process},
	{"os.execlp", "process", judge_process},
	{"os.execlpe", "process", judge_process},
	{"os.execv", "process", judge_process},
	{"os.execve", "process", judge_process},
	{"os.execvp", "process", judge_process},
	{"os.execvpe", "process", judge_process},
	{"os.fchmod", "permissions", judge_permissions},
	{"os.fdopen", "persistence-write", judge_open},
	{"os.fork", "process-detached", judge_plain},
	{"os.forkpty", "process-detached", judge_plain},
	{"os.lchmod", "permissions", judge_permissions},
	{"os.link", "persistence-write", judge_write},
	{"os.mkfifo", "permissions", judge_permissions},
	{"os.popen", "shell", judge_shell},
	{"os.popen2", "shell", judge_shell},
	{"os.popen3", "shell", judge_shell},
	{"os.popen4", "shell", judge_shell},
	{"os.posix_spawn", "process", judge_process},
	{"os.posix_spawnp", "process", judge_process},
	{"os.remove", "delete-loop", judge_one_deletion},
	{"os.removedirs", "delete-tree", judge_deletion},
	{"os.rename", "persistence-write", judge_write},
	{"os.replace", "persistence-write", judge_write},
	{"os.rmdir", "delete-loop", judge_one_deletion},
	{"os.setsid", "process-detached", judge_plain},
	{"os.spawnl", "process", judge_process},
	{"os.spawnle", "process", judge_process},
	{"os.spawnlp", "process", judge_process},
	{"os.spawnlpe", "process", judge_process},
	{"os.spawnv", "process", judge_process},
	{"os.spawnve", "process", judge_process},
	{"os.spawnvp", "process", judge_process},
	{"os.spawnvpe", "process", judge_process},
	{"os.startfile", "process", judge_process},
	{"os.symlink", "persistence-write", judge_write},
	{"os.system", "shell", judge_shell},
	{"os.tempnam", "temporary-name", judge_plain},
	{"os.tmpnam", "temporary-name", judge_plain},
	{"os.umask", "permissions", judge_permissions},
	{"os.unlink", "delete-loop", judge_one_deletion},
	{"pandas.eval", "evaluate", judge_evaluation},
	{"pandas.read_pickle", "unmarshal", judge_plain},
	{"paramiko.AutoAddPolicy", "tls-unchecked", judge_plain},
	{"paramiko.SSHClient", "network", judge_network},
	{"paramiko.SSHClient().exec_command", "shell", judge_shell},
	{"paramiko.client.AutoAddPolicy", "tls-unchecked", judge_plain},
	{"pathlib.Path().chmod", "permissions", judge_permissions},
	{"pathlib.Path().open", "persistence-write", judge_open},
	{"pathlib.Path().rmdir", "delete-loop", judge_one_deletion},
	{"pathlib.Path().symlink_to", "persistence-write", judge_write},
	{"pathlib.Path().unlink", "delete-loop", judge_one_deletion},
	{"pathlib.Path().write_bytes", "persistence-write", judge_write},
	{"pathlib.Path().write_text", "persistence-write", judge_write},
	{"pdb.run", "evaluate", judge_evaluation},
	{"pexpect.run", "process", judge_process},
	{"pexpect.spawn", "process", judge_process},
	{"pickle.Unpickler", "unmarshal", judge_plain},
	{"pickle.dumps", "environment-dump", judge_dump},
	{"pickle.load", "unmarshal", judge_plain},
	{"pickle.loads", "unmarshal", judge_plain},
	{"pkgutil.resolve_name", "import-dynamic", judge_import},
	{"platform.popen", "shell", judge_shell},
	{"popen2.popen2", "shell", judge_shell},
	{"popen2.popen3", "shell", judge_shell},
	{"poplib.POP3", "network", judge_network},
	{"posix.system", "shell", judge_shell},
	{"pprint.pformat", "environment-dump", judge_dump},
	{"profile.run", "evaluate", judge_evaluation},
	{"pty.fork", "process-detached", judge_plain},
	{"pty.spawn", "process", judge_process},
	{"pycurl.Curl", "network", judge_network},
	{"repr", "environment-dump", judge_dump},
	{"requests.Session", "network", judge_network},
	{"requests.Session().get", "network", judge_network},
	{"requests.Session().post", "network", judge_network},
	{"requests.Session().request", "network", judge_network},
	{"requests.delete", "network", judge_network},
	{"requests.get", "network", judge_network},
	{"requests.head", "network", judge_network},
	{"requests.options", "network", judge_network},
	{"requests.packages.urllib3.disable_warnings", "tls-unchecked", judge_plain},
	{"requests.patch", "network", judge_network},
	{"requests.post", "network", judge_network},
	{"requests.put", "network", judge_network},
	{"requests.request", "network", judge_network},
	{"requests.session", "network", judge_network},
	{"requests.session().get", "network", judge_network},
	{"requests.session().post", "network", judge_network},
	{"runpy.run_path", "evaluate", judge_evaluation},
	{"send2trash.send2trash", "delete-tree", judge_deletion},
	{"setattr", "tamper-builtins", python_judge_setattr},
	{"sh.Command", "process", judge_process},
	{"shelve.open", "unmarshal", judge_plain},
	{"shutil.copy", "persistence-write", judge_write},
	{"shutil.copy2", "persistence-write", judge_write},
	{"shutil.copyfile", "persistence-write", judge_write},
	{"shutil.move", "persistence-write", judge_write},
	{"shutil.rmtree", "delete-tree", judge_deletion},
	{"smtplib.SMTP", "network", judge_network},
	{"smtplib.SMTP_SSL", "network", judge_network},
	{"socket.create_connection", "network", judge_network},
	{"socket.create_server", "network-listen", judge_plain},
	{"socket.socket().bind", "network-listen", judge_plain},
	{"socket.socket().connect", "network", judge_network},
	{"socket.socket().connect_ex", "network", judge_network},
	{"socket.socket().listen", "network-listen", judge_plain},
	{"socket.socket().sendto", "network", judge_network},
	{"socketserver.TCPServer", "network-listen", judge_plain},
	{"socketserver.ThreadingTCPServer", "network-listen", judge_plain},
	{"socketserver.UDPServer", "network-listen", judge_plain},
	{"ssl._create_stdlib_context", "tls-unchecked", judge_plain},
	{"ssl._create_unverified_context", "tls-unchecked", judge_plain},
	{"str", "environment-dump", judge_dump},
	{"subprocess.Popen", "process", judge_process},
	{"subprocess.call", "process", judge_process},
	{"subprocess.check_call", "process", judge_process},
	{"subprocess.check_output", "process", judge_process},
	{"subprocess.getoutput", "shell", judge_shell},
	{"subprocess.getstatusoutput", "shell", judge_shell},
	{"subprocess.run", "process", judge_process},
	{"sys.meta_path.append", "tamper-import", judge_plain},
	{"sys.meta_path.insert", "tamper-import", judge_plain},
	{"sys.path_hooks.append", "tamper-import", judge_plain},
	{"sys.path_hooks.insert", "tamper-import", judge_plain},
	{"telegram.Bot", "network", judge_network},
	{"telnetlib.Telnet", "network", judge_network},
	{"tempfile.mktemp", "temporary-name", judge_plain},
	{"timeit.timeit", "evaluate", judge_evaluation},
	{"torch.load", "unmarshal", judge_plain},
	{"trio.run_process", "process", judge_process},
	{"types.CodeType", "evaluate", judge_evaluation},
	{"types.FunctionType", "evaluate", judge_evaluation},
	{"urllib.parse.urlencode", "environment-dump", judge_dump},
	{"urllib.request.Request", "network", judge_network},
	{"urllib.request.build_opener().open", "network", judge_network},
	{"urllib.request.urlopen", "network", judge_network},
	{"urllib.request.urlretrieve", "network", judge_network},
	{"urllib.urlopen", "network", judge_network},
	{"urllib.urlretrieve", "network", judge_network},
	{"urllib2.urlopen", "network", judge_network},
	{"urllib3.PoolManager", "network", judge_network},
	{"urllib3.disable_warnings", "tls-unchecked", judge_plain},
	{"urllib3.request", "network", judge_network},
	{"websocket.create_connection", "network", judge_network},
	{"websockets.connect", "network", judge_network},
	{"wget.download", "network", judge_network},
	{"wsgiref.simple_server.make_server", "network-listen", judge_plain},
	{"xmlrpc.client.ServerProxy", "network", judge_network},
	{"xmlrpc.server.SimpleXMLRPCServer", "network-listen", judge_plain},
	{"yaml.dump", "environment-dump", judge_dump},
	{"yaml.unsafe_load", "unmarshal", judge_plain},
	{"yaml.unsafe_load_all", "unmarshal", judge_plain},
	{"zlib.decompress", "decode", NULL},
	{"zlib.decompressobj().decompress", "decode", NULL},
};
const size_t python_sinks_count = ARRAY_SIZE(python_sinks);

const struct fold python_folds[] = {
	{"__import__", python_fold_import},
	{"base64.b16decode", fold_hexadecimal},
	{"base64.b64decode", fold_base64},
	{"base64.decodebytes", fold_base64},
	{"base64.standard_b64decode", fold_base64},
	{"base64.urlsafe_b64decode", fold_base64},
	{"binascii.a2b_base64", fold_base64},
	{"binascii.a2b_hex", fold_hexadecimal},
	{"binascii.unhexlify", fold_hexadecimal},
	{"bytearray", python_fold_bytes},
	{"bytearray.fromhex", fold_hexadecimal},
	{"bytes", python_fold_bytes},
	{"bytes.fromhex", fold_hexadecimal},
	{"chr", fold_characters},
	{"codecs.decode", python_fold_codecs},
	{"codecs.encode", python_fold_codecs},
	{"compile", fold_first},
	{"dict", fold_first},
	{"functools.lru_cache", fold_first},
	{"functools.partial", fold_first},
	{"getattr", python_fold_getattr},
	{"globals().get", python_fold_item},
	{"importlib.__import__", python_fold_import},
	{"importlib.import_module", python_fold_import},
	{"io.BytesIO", fold_first},
	{"io.StringIO", fold_first},
	{"os.environ.get", python_fold_item},
	{"os.fsdecode", fold_first},
	{"os.fsencode", fold_first},
	{"os.fspath", fold_first},
	{"os.getenv", python_fold_item},
	{"os.path.abspath", fold_first},
	{"os.path.expanduser", fold_first},
	{"os.path.expandvars", fold_first},
	{"os.path.join", fold_joined_path},
	{"os.path.normpath", fold_first},
	{"os.path.realpath", fold_first},
	{"pathlib.Path", python_fold_path},
	{"pathlib.Path().absolute", python_fold_same},
	{"pathlib.Path().as_posix", python_fold_same},
	{"pathlib.Path().expanduser", python_fold_same},
	{"pathlib.Path().home", python_fold_home},
	{"pathlib.Path().joinpath", python_fold_path},
	{"pathlib.Path().resolve", python_fold_same},
	{"pathlib.Path().with_suffix", python_fold_same},
	{"pathlib.Path.home", python_fold_home},
	{"pathlib.PosixPath", python_fold_path},
	{"pathlib.PurePath", python_fold_path},
	{"pathlib.PurePosixPath", python_fold_path},
	{"posixpath.join", fold_joined_path},
	{"str", fold_first},
	{"sys.intern", fold_first},
	{"sys.modules.get", python_fold_item},
	{"textwrap.dedent", fold_first},
	{"unichr", fold_characters},
	{"vars", python_fold_vars},
};
const size_t python_folds_count = ARRAY_SIZE(python_folds);

const struct module_rule python_modules[] = {
	{"_ctypes", "import-native"},
	{"_posixsubprocess", "import-process"},
	{"aiohttp", "import-network"},
	{"boto3", "import-network"},
	{"cffi", "import-native"},
	{"cloudpickle", "import-evaluate"},
	{"code", "import-evaluate"},
	{"codeop", "import-evaluate"},
	{"commands", "import-process"},
	{"ctypes", "import-native"},
	{"dill", "import-evaluate"},
	{"ftplib", "import-network"},
	{"http", "import-network"},
	{"httplib", "import-network"},
	{"httpx", "import-network"},
	{"imaplib", "import-network"},
	{"imp", "import-native"},
	{"marshal", "import-evaluate"},
	{"multiprocessing", "import-process"},
	{"nntplib", "import-network"},
	{"paramiko", "import-network"},
	{"pexpect", "import-process"},
	{"pickle", "import-evaluate"},
	{"popen2", "import-process"},
	{"poplib", "import-network"},
	{"pty", "import-process"},
	{"pycurl", "import-network"},
	{"requests", "import-network"},
	{"runpy", "import-evaluate"},
	{"scapy", "import-network"},
	{"sh", "import-process"},
	{"smtplib", "import-network"},
	{"socket", "import-network"},
	{"socketserver", "import-network"},
	{"subprocess", "import-process"},
	{"telnetlib", "import-network"},
	{"urllib", "import-network"},
	{"urllib2", "import-network"},
	{"urllib3", "import-network"},
	{"websocket", "import-network"},
	{"websockets", "import-network"},
	{"wget", "import-network"},
	{"xmlrpc", "import-network"},
};
const size_t python_modules_count = ARRAY_SIZE(python_modules);
