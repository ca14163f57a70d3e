/* Theory of operation. /dev/tty is opened, never stdin: what a command reads is not what a person
 * says. Askers of one terminal queue behind a lock on its device, which the kernel drops when its
 * holder dies. While the terminal is ours, its settings differ (base/terminal.c has a guard that
 * puts them back when we die), the signals of job control are blocked, so that a background group
 * gets an error and not a stop, and those that would end us wait on a descriptor until the
 * terminal has been given back.
 *
 * A program that has the terminal in raw mode reads it too: which of us gets a key is chance, and
 * what the person types may be meant for it. That is "contested", and no single key counts then. */
#include "gate/keyboard.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A burst of bytes is one key if no more follow for so long: a terminal sends the sequence of a
 * function key, and a paste, at once. */
enum { BURST_GAP_MS = 30, BURST_BYTES_MAX = 256, WRITE_WAIT_MS = 10000 };

static const char paste_on[] = "\033[?2004h", paste_off[] = "\033[?2004l";
static const char paste_begin[] = "\033[200~", paste_end[] = "\033[201~";

static uint64_t now_ms(void)
{
	return clock_now_us() / 1000;
}

static bool has_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);
		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

int keyboard_open(struct keyboard *keyboard, struct error *error)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	*keyboard = (struct keyboard)KEYBOARD_INIT;
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(
			error, errno == ENOENT ? ENXIO : errno, "terminal", "/dev/tty");
	keyboard->terminal.fd = fd;
	keyboard->terminal.own = true;
	keyboard->plain = !term || !*term || strcmp(term, "dumb") == 0;
	keyboard->style.attributes = !keyboard->plain && !(no_color && *no_color);
	keyboard->style.utf8 = has_utf8();
	return 0;
}

void keyboard_close(struct keyboard *keyboard)
{
	keyboard_give_back(keyboard);
	terminal_close(&keyboard->terminal);
}

/* The device behind /dev/tty, to lock it: /dev/tty itself is everybody's. -1 where it cannot be
 * opened (another user's after su(1), another mount namespace's): then nothing queues. */
static int open_device(int terminal)
{
	enum { PTS_FIRST = 136, PTS_LAST = 143 };
	static const int flags = O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	unsigned device;
	struct stat st;
	char path[32];
	if (ioctl(terminal, TIOCGDEV, &device) < 0)
		return -1;
	/* The number as the kernel packs it for user space. */
	unsigned number = minor(device) + (major(device) - PTS_FIRST) * 256;
	bool is_pts = major(device) >= PTS_FIRST && major(device) <= PTS_LAST;
	for (int i = -1; i <= 2; i++) {
		if (i < 0 && !is_pts)
			continue;
		snprintf(path, sizeof(path), i < 0 ? "/dev/pts/%u" : "/proc/self/fd/%u",
			i < 0 ? number : (unsigned)i);
		cleanup_close int fd = open(path, flags);
		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
			st.st_rdev == (dev_t)device)
			return steal_fd(&fd);
	}
	return -1;
}

static void block_signals(struct keyboard *keyboard)
{
	sigset_t ending, all;
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigaddset(&ending, SIGQUIT);
	all = ending;
	sigaddset(&all, SIGTTIN);
	sigaddset(&all, SIGTTOU);
	sigprocmask(SIG_BLOCK, &all, &keyboard->saved_mask);
	keyboard->signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void unblock_signals(struct keyboard *keyboard)
{
	close_fd(&keyboard->signals);
	sigprocmask(SIG_SETMASK, &keyboard->saved_mask, NULL);
}

/* In the background a question is not put: whoever has the foreground would be disturbed, and
 * would get the keys. The job stops, as any does that wants the keyboard. */
static int wait_for_foreground(struct keyboard *keyboard, struct error *error)
{
	enum { STOP_MS_MIN = 10, FRUITLESS_MAX = 3 };
	unsigned fruitless = 0;
	while (!terminal_is_foreground(keyboard->terminal.fd)) {
		if (fruitless == 0)
			keyboard_write(keyboard,
				"\r\ncoffer: a question waits for its answer; bring this job to "
				"the foreground (fg)\r\n");
		uint64_t before_ms = now_ms();
		terminal_stop_self(SIGTTIN, true);
		/* The kernel ignores a stop in a group that nobody could continue. */
		fruitless = now_ms() - before_ms < STOP_MS_MIN ? fruitless + 1 : 0;
		if (fruitless == FRUITLESS_MAX)
			return error_set(error, EIO, "terminal",
				"this is in the background of its terminal, and no shell can "
				"bring it forward");
	}
	return 0;
}

static struct termios key_settings(const struct termios *settings)
{
	struct termios keys = *settings;
	keys.c_iflag &= ~(BRKINT | PARMRK | INPCK | ISTRIP | INLCR | IGNCR | IXON | IUCLC);
	keys.c_iflag |= ICRNL | IGNBRK;
	keys.c_oflag |= OPOST | ONLCR;
	keys.c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	return keys;
}

static int claim(struct keyboard *keyboard, bool lines, struct error *error)
{
	struct termios now;
	if (tcgetattr(keyboard->terminal.fd, &now) < 0)
		return error_set_errno(error, errno, "terminal", "cannot read its settings");
	keyboard->contested = keyboard->contested || !(now.c_lflag & ICANON);
	struct termios settings = key_settings(&now);
	if (lines) {
		settings.c_lflag |= ICANON | ECHO | ECHOE | ECHOK;
		settings.c_cc[VEOF] = settings.c_cc[VEOF] == 1 ? 4 : settings.c_cc[VEOF];
	}
	return terminal_claim_with(&keyboard->terminal, &settings, error);
}

static void measure(struct keyboard *keyboard)
{
	struct winsize size = {0};
	ioctl(keyboard->terminal.fd, TIOCGWINSZ, &size);
	keyboard->style.columns = size.ws_col ? size.ws_col : 80;
	keyboard->rows = size.ws_row ? size.ws_row : 24;
}

int keyboard_take(struct keyboard *keyboard, struct error *error)
{
	if (keyboard->taken)
		return 0;
	block_signals(keyboard);
	keyboard->taken = true;
	keyboard->contested = false;
	for (;;) {
		int r = wait_for_foreground(keyboard, error);
		if (r == 0 && keyboard->lock < 0)
			keyboard->lock = open_device(keyboard->terminal.fd);
		/* Signals may end us here: nothing is ours yet. */
		sigset_t held;
		sigprocmask(SIG_SETMASK, &keyboard->saved_mask, &held);
		while (r == 0 && keyboard->lock >= 0 && flock(keyboard->lock, LOCK_EX) < 0 &&
			errno == EINTR)
			continue;
		sigprocmask(SIG_SETMASK, &held, NULL);
		if (r == 0)
			r = claim(keyboard, false, error);
		if (r == -EAGAIN) { /* in the background meanwhile */
			close_fd(&keyboard->lock);
			continue;
		}
		if (r < 0) {
			keyboard_give_back(keyboard);
			return r;
		}
		break;
	}
	measure(keyboard);
	tcflush(keyboard->terminal.fd, TCIFLUSH);
	/* What ran before may have left other colours or another character set. */
	if (!keyboard->plain)
		keyboard_write(keyboard, "\033[0m\033(B\017");
	if (!keyboard->plain && !keyboard->contested) {
		keyboard_write(keyboard, "\033[?25h");
		keyboard_write(keyboard, paste_on);
	}
	return 0;
}

void keyboard_lend(struct keyboard *keyboard)
{
	if (!keyboard->taken)
		return;
	if (keyboard->terminal.claimed && !keyboard->plain && !keyboard->contested)
		keyboard_write(keyboard, paste_off);
	terminal_release(&keyboard->terminal);
	keyboard->taken = false;
	unblock_signals(keyboard);
}

void keyboard_give_back(struct keyboard *keyboard)
{
	keyboard_lend(keyboard);
	close_fd(&keyboard->lock);
}

void keyboard_suspend(struct keyboard *keyboard)
{
	keyboard_give_back(keyboard);
	terminal_stop_self(SIGTSTP, true);
}

int keyboard_write(struct keyboard *keyboard, const char *text)
{
	size_t length = strlen(text);
	struct pollfd pollfd = {.fd = keyboard->terminal.fd, .events = POLLOUT};
	while (length) {
		ssize_t n = write(keyboard->terminal.fd, text, length);
		if (n >= 0) {
			text += n;
			length -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (poll(&pollfd, 1, WRITE_WAIT_MS) == 0)
			return -EIO;
	}
	return 0;
}

int keyboard_write_buffer(struct keyboard *keyboard, struct buffer *text)
{
	int r = buffer_error(text);
	return r < 0 || !text->data ? r : keyboard_write(keyboard, text->data);
}

/* Reads what is there. 0 bytes never: that is -EIO. */
static ssize_t read_some(struct keyboard *keyboard, int wait_ms, void *data, size_t data_bytes)
{
	struct pollfd pollfds[] = {
		{.fd = keyboard->terminal.fd, .events = POLLIN},
		{.fd = keyboard->signals, .events = POLLIN},
	};
	for (;;) {
		int n = poll(pollfds, ARRAY_SIZE(pollfds), wait_ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ETIME;
		if (pollfds[1].revents)
			return -EINTR;
		ssize_t length = read(keyboard->terminal.fd, data, data_bytes);
		if (length < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		return length > 0 ? length : -EIO;
	}
}

int keyboard_quiet(struct keyboard *keyboard)
{
	char ignored[BURST_BYTES_MAX];
	uint64_t end_ms = now_ms() + KEYBOARD_QUIET_MAX_MS;
	tcdrain(keyboard->terminal.fd);
	while (now_ms() < end_ms) {
		ssize_t n = read_some(keyboard, KEYBOARD_QUIET_MS, ignored, sizeof(ignored));
		if (n < 0)
			return n == -ETIME ? 0 : (int)n;
	}
	return -EAGAIN;
}

/* Everything up to the end of a bracketed paste, or to a pause. */
static int skip_paste(struct keyboard *keyboard, char *burst, size_t length)
{
	enum { PAUSE_MS = 1000 };
	size_t end = strlen(paste_end);
	while (!memmem(burst, length, paste_end, end)) {
		/* The end may come in two reads. */
		size_t kept = length < end - 1 ? length : end - 1;
		memmove(burst, burst + length - kept, kept);
		ssize_t n = read_some(keyboard, PAUSE_MS, burst + kept, BURST_BYTES_MAX - kept);
		if (n < 0)
			return n == -ETIME ? 0 : (int)n;
		length = kept + (size_t)n;
	}
	return 0;
}

static struct key decode(const char *burst, size_t length)
{
	static const struct {
		char byte;
		enum key_kind kind;
	} controls[] = {
		{'\n', KEY_ENTER},
		{'\r', KEY_ENTER},
		{0x03, KEY_INTERRUPT},
		{0x04, KEY_END},
		{0x0c, KEY_REDRAW},
		{0x1a, KEY_SUSPEND},
	};
	if (length == 3 && burst[0] == '\033' && burst[1] == '[' && strchr("IO", burst[2]))
		return (struct key){KEY_IGNORED, 0}; /* the window has got or lost the focus */
	if (length == 2 && burst[1] == '\n')
		length = 1;
	if (length != 1)
		return (struct key){KEY_UNCLEAR, 0};
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
		if (burst[0] == controls[i].byte)
			return (struct key){controls[i].kind, 0};
	bool printable = burst[0] > 0x20 && burst[0] < 0x7f;
	return (struct key){printable ? KEY_CHARACTER : KEY_UNCLEAR, burst[0]};
}

int keyboard_key(struct keyboard *keyboard, struct key *ret)
{
	char burst[BURST_BYTES_MAX];
	size_t length = 0;
	while (length < sizeof(burst)) {
		ssize_t n = read_some(keyboard, length ? BURST_GAP_MS : -1, burst + length,
			sizeof(burst) - length);
		if (n == -ETIME)
			break;
		if (n < 0)
			return (int)n;
		length += (size_t)n;
	}
	size_t begin = strlen(paste_begin);
	if (length >= begin && memcmp(burst, paste_begin, begin) == 0) {
		*ret = (struct key){KEY_IGNORED, 0};
		return skip_paste(keyboard, burst, length);
	}
	*ret = decode(burst, length);
	return 0;
}

int keyboard_byte(struct keyboard *keyboard, int wait_ms, unsigned char *ret)
{
	ssize_t n = read_some(keyboard, wait_ms, ret, 1);
	return n < 0 ? (int)n : 0;
}

int keyboard_line(struct keyboard *keyboard, const char *label, char *text, size_t text_bytes)
{
	struct error error;
	terminal_release(&keyboard->terminal);
	int r = claim(keyboard, true, &error);
	if (r < 0)
		return r;
	/* Before the label, after which keys count. */
	tcflush(keyboard->terminal.fd, TCIFLUSH);
	ssize_t n = keyboard_write(keyboard, label);
	if (n == 0)
		n = read_some(keyboard, -1, text, text_bytes - 1);
	terminal_release(&keyboard->terminal);
	int again = claim(keyboard, false, &error);
	if (n < 0 || again < 0)
		return n < 0 ? (int)n : again;
	text[n] = '\0';
	if (text[n - 1] != '\n')
		return -ENODATA;
	text[n - 1] = '\0';
	return strlen(text) == (size_t)(n - 1) ? 0 : -ENODATA;
}
