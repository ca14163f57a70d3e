/* Theory of operation. coffer-egress is another program, not a fork: TLS and DNS libraries with
 * their thousands of relocations are no part of what every run starts. It gets two descriptors and
 * an empty hand otherwise: the control socket and the sealed policy. It dies with this process. */
#include "run/egress_process.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/request.h"
#include "base/sibling.h"
#include "base/sys.h"
#include "confine/id_range.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	SETTLE_MS = 30000, /* a secret's command may ask a key store */
	STOP_MS = 500,
};

struct egress_process {
	pid_t pid;
	int control;
	char *note;
};

static int seal_config(const struct network_policy *policy, enum tier tier, bool ask)
{
	cleanup_strv struct strv settings = {0}, options = {0};
	char number[16];
	int r = 0;
	for (size_t i = 0; r == 0 && i < policy->settings_count; i++) {
		const struct network_setting *setting = &policy->settings[i];
		r = strv_add(&settings, setting->key);
		if (r == 0)
			r = strv_add(&settings, setting->value ? setting->value : "");
		if (r == 0)
			r = strv_add(&settings, setting->source ? setting->source : "");
	}
	if (r == 0)
		r = strv_add(&options, tier == TIER_CONTAINER ? EGRESS_OPTION_TIER "=container"
							      : EGRESS_OPTION_TIER "=landlock");
	/* As root, an id of its own: no other box's egress may signal it or look into it. */
	snprintf(number, sizeof(number), "%u", geteuid() == 0 ? id_single() : 0);
	static const char *const ids[] = {EGRESS_OPTION_UID, EGRESS_OPTION_GID};
	for (size_t i = 0; r == 0 && geteuid() == 0 && i < ARRAY_SIZE(ids); i++) {
		char *option;
		r = asprintf(&option, "%s=%s", ids[i], number) < 0
			    ? -ENOMEM
			    : strv_add_owned(&options, option);
	}
	if (r == 0 && ask)
		r = strv_add(&options, EGRESS_OPTION_ASK "=1");
	if (r < 0)
		return r;
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	static char *const none[] = {NULL};
	request_add(&buffer, strv_items(&settings));
	request_add(&buffer, strv_items(&options));
	request_add(&buffer, none);
	return request_seal(&buffer);
}

/* posix_spawn: no copy of this process's memory is made. */
static int spawn(const char *path, int control, int config, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	int r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r) {
		posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	/* Both numbers may be in the way of one another: first away, then into place. */
	int high_control = fcntl(control, F_DUPFD_CLOEXEC, 10);
	int high_config = fcntl(config, F_DUPFD_CLOEXEC, 10);
	char *const argv[] = {(char *)"coffer-egress", NULL};
	if (high_control < 0 || high_config < 0)
		r = errno;
	if (!r)
		r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, 0, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, high_control, EGRESS_CONTROL_FD);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, high_config, EGRESS_CONFIG_FD);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, EGRESS_CONFIG_FD + 1);
	if (!r)
		r = posix_spawnattr_setflags(&attributes,
			POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	if (!r)
		r = posix_spawnattr_setsigmask(&attributes, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(&attributes, &all);
	if (!r)
		r = posix_spawn(ret, path, &actions, &attributes, argv, environ);
	close_fd(&high_control);
	close_fd(&high_config);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int egress_start(const struct network_policy *policy, enum tier tier, bool ask,
	struct egress_process **ret, struct error *error)
{
	char path[PATH_MAX];
	int r = sibling_find("coffer-egress", "egress", path, error);
	if (r < 0)
		return r;
	cleanup_close int config = seal_config(policy, tier, ask);
	if (config < 0)
		return error_set_errno(error, -config, "egress", "its configuration");
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "egress", "its control socket");
	cleanup_close int ours = pair[0];
	cleanup_close int theirs = pair[1];
	struct egress_process *egress = calloc(1, sizeof(*egress));
	if (!egress)
		return error_set_errno(error, ENOMEM, "egress", "its state");
	r = spawn(path, theirs, config, &egress->pid);
	if (r < 0) {
		free(egress);
		return error_set_errno(error, -r, "egress", "starting %s", path);
	}
	/* Whoever does not read is as good as dead: this process waits for it nowhere but at the
	 * start. */
	fcntl(ours, F_SETFL, O_NONBLOCK);
	egress->control = steal_fd(&ours);
	*ret = egress;
	return 0;
}

static int take_ready(struct egress_process *egress, int fd, struct plan *plan, struct error *error)
{
	cleanup_strv struct strv variables = {0}, authority = {0}, notes = {0};
	struct strv *lists[] = {&variables, &authority, &notes};
	int r = request_read(fd, lists, ARRAY_SIZE(lists));
	if (r < 0)
		return error_set_errno(error, -r, "egress", "what it brings for the box");
	if (r == 0 && !plan && (variables.count > 0 || authority.count > 0))
		r = -EPROTO;
	for (size_t i = 0; r == 0 && i < variables.count; i++)
		r = plan_put_variable(plan, variables.items[i]);
	if (r == 0 && authority.count > 0)
		r = plan_put_authority(plan, authority.items[0]);
	if (r == 0 && notes.count > 0 && !(egress->note = strdup(notes.items[0])))
		r = -ENOMEM;
	return r < 0 ? error_set_errno(error, -r, "egress", "what it brings for the box") : 0;
}

bool egress_brings(const struct network_policy *policy)
{
	return policy->secrets_count > 0 || policy->inspects_count > 0 || policy->upstream_ca;
}

int egress_settle(struct egress_process *egress, struct plan *plan, struct error *error)
{
	struct pollfd control = {.fd = egress->control, .events = POLLIN};
	if (poll(&control, 1, SETTLE_MS) <= 0)
		return error_set(error, ETIMEDOUT, "egress", "it did not get ready in %d s",
			SETTLE_MS / 1000);
	struct egress_message message;
	int fds[FD_PASS_MAX];
	size_t count = FD_PASS_MAX;
	ssize_t n = fd_receive(egress->control, &message, sizeof(message), fds, &count);
	int r = 0;
	if (n != (ssize_t)sizeof(message))
		r = error_set(error, EPIPE, "egress", "it ended while it got ready");
	else if (message.kind == EGRESS_READY && count == 1)
		r = take_ready(egress, fds[0], plan, error);
	else if (message.kind == EGRESS_FAILED && message.error.errno_value > 0) {
		*error = message.error;
		error->stage[sizeof(error->stage) - 1] = '\0';
		error->message[sizeof(error->message) - 1] = '\0';
		error->hint[sizeof(error->hint) - 1] = '\0';
		r = -error->errno_value;
	} else {
		r = error_set(error, EPROTO, "egress", "its first word was not understood");
	}
	for (size_t i = 0; n > 0 && i < count; i++)
		close(fds[i]);
	return r;
}

int egress_hand_over(
	struct egress_process *egress, const int *fds, const uint8_t *kinds, size_t count)
{
	for (size_t done = 0; done < count;) {
		struct egress_message message = {.kind = EGRESS_SOCKETS};
		size_t some = count - done < FD_PASS_MAX ? count - done : FD_PASS_MAX;
		message.kinds_count = (uint16_t)some;
		memcpy(message.kinds, kinds + done, some);
		int r = fd_send(egress->control, &message, sizeof(message), fds + done, some);
		if (r < 0)
			return r;
		done += some;
	}
	return 0;
}

const char *egress_note(const struct egress_process *egress)
{
	return egress->note;
}

int egress_fd(const struct egress_process *egress)
{
	return egress ? egress->control : -1;
}

pid_t egress_pid(const struct egress_process *egress)
{
	return egress ? egress->pid : 0;
}

void egress_was_reaped(struct egress_process *egress)
{
	egress->pid = 0;
}

int egress_receive(struct egress_process *egress, struct egress_message *ret)
{
	if (egress->control < 0)
		return -EPIPE;
	/* A peer that runs as another id and was taken over may send anything but descriptors:
	 * those are not asked for, and the kernel closes them. */
	ssize_t n = recv(egress->control, ret, sizeof(*ret), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n == (ssize_t)sizeof(*ret))
		return 0;
	close_fd(&egress->control);
	return -EPIPE;
}

static void tell(struct egress_process *egress, const struct egress_message *message)
{
	if (egress->control < 0 ||
		fd_send(egress->control, message, sizeof(*message), NULL, 0) == 0)
		return;
	close_fd(&egress->control);
	if (egress->pid > 0)
		kill(egress->pid, SIGKILL); /* nothing gets out without it */
}

void egress_answer(struct egress_process *egress, uint32_t id, int verdict)
{
	tell(egress, &(struct egress_message){.kind = EGRESS_ANSWER, .id = id, .value = verdict});
}

void egress_stop(struct egress_process *egress)
{
	tell(egress, &(struct egress_message){.kind = EGRESS_STOP});
}

void egress_free(struct egress_process *egress)
{
	if (!egress)
		return;
	close_fd(&egress->control);
	if (egress->pid > 0) {
		/* Not at once by force: a secret's command, while it runs, is ended on the way. */
		kill(egress->pid, SIGTERM);
		cleanup_close int pidfd = sys_pidfd_open(egress->pid, 0);
		poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, STOP_MS);
		kill(egress->pid, SIGKILL);
		while (waitpid(egress->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	free(egress->note);
	free(egress);
}
