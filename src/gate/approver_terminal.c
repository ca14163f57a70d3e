/* Theory of operation. The question is shown whole, then the keyboard must be silent for a moment:
 * what was typed before it could have been read (for another program, or by one, or out of a
 * paste) is no answer. Then a single key is; with a terminal that knows no control sequences a
 * line; with one that another program reads too, a whole word. Only a clear yes is a yes: Enter
 * alone, ^C, an end of file, a hang-up, two keys at once, an unknown key are a no.
 *
 * What was not on the screen cannot be approved: while a part of the command is folded away, a yes
 * shows it and asks again. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/keyboard.h"
#include "gate/prompt.h"

#include <string.h>

enum { SCREEN_BYTES_MAX = 9 * MAX_ARGV_BYTES, REASON_BYTES_MAX = 4096 };

struct terminal_approver {
	struct approver approver;
	struct keyboard keyboard;
};

/* One question. What its steps return besides errors: */
enum outcome {
	OUTCOME_ANSWERED,
	OUTCOME_AGAIN,  /* the question, from its beginning */
	OUTCOME_CHOOSE, /* only the answers */
};

struct question {
	struct keyboard *keyboard;
	const struct approval_request *request;
	struct approval_answer *ret;
	struct error *error;
	struct prompt_offer offer;
	char *rule; /* what "always" would write; NULL: nothing */
	bool whole; /* all that a yes is about was on the screen */
};

static int say(struct question *question, const char *text)
{
	return keyboard_write(question->keyboard, text);
}

static int answered(struct question *question, enum answer_kind kind, const char *said)
{
	question->ret->kind = kind;
	say(question, said);
	say(question, "\n");
	return OUTCOME_ANSWERED;
}

static int refused(struct question *question, const char *why)
{
	cleanup_free char *line = NULL;
	if (asprintf(&line, "no: %s", why) < 0)
		line = NULL;
	question->ret->reason = strdup(why);
	return answered(question, ANSWER_NO, line ? line : "no");
}

/* What an error of the keyboard comes to. */
static int failed(struct question *question, int error)
{
	if (error == -EINTR) {
		keyboard_give_back(question->keyboard);
		return error_set(question->error, EINTR, "terminal",
			"interrupted while a question was on the terminal");
	}
	if (error == -EAGAIN)
		return refused(question, "keys kept coming, so none of them was an answer");
	if (error == -ENODATA)
		return refused(question, "the input ended, or was no answer");
	return error_set_errno(question->error, -error, "terminal",
		"the question could not be put, or the terminal has gone");
}

/* The rows that text takes on this screen. Rows are cut to its width, unless it is so narrow that
 * the terminal wraps them. */
static size_t count_rows(const struct keyboard *keyboard, const char *text)
{
	enum { COLUMNS_MIN = 20 };
	size_t rows = 0;
	for (const char *s = text; (s = strchr(s, '\n')); s++)
		rows++;
	unsigned columns = keyboard->style.columns;
	return columns < COLUMNS_MIN ? rows * (COLUMNS_MIN / columns + 1) : rows;
}

/* The question in as much detail as fits on the screen with the answers below it. Where even the
 * least does not, it counts as not seen. */
static int show(struct question *question)
{
	enum { ANSWER_ROWS = 6, COMMAND_ROWS_MIN = 3 };
	struct keyboard *keyboard = question->keyboard;
	const size_t third = keyboard->rows / 3;
	const struct prompt_room rooms[] = {
		{third > COMMAND_ROWS_MIN ? third : COMMAND_ROWS_MIN, 4, 5},
		{COMMAND_ROWS_MIN, 1, 2},
	};
	cleanup_buffer struct buffer text = BUFFER_INIT(SCREEN_BYTES_MAX);
	bool folded = true, fits = false;
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rooms) && !fits; i++) {
		buffer_clear(&text);
		r = prompt_question(question->request, &rooms[i], &keyboard->style, &text, &folded);
		if (r == 0 && keyboard->contested)
			buffer_append_string(&text,
				"  note   another program has this terminal in raw mode: it may "
				"take keys from\n         here, and what you type for it comes "
				"here\n");
		fits = r == 0 && count_rows(keyboard, text.data) + ANSWER_ROWS <= keyboard->rows;
	}
	question->whole = !folded && fits;
	if (r == 0)
		r = keyboard_write_buffer(keyboard, &text);
	return r < 0 ? failed(question, r) : OUTCOME_CHOOSE;
}

/* All of it, a screenful at a time. */
static int show_whole(struct question *question)
{
	static const struct prompt_room all = {0};
	struct keyboard *keyboard = question->keyboard;
	cleanup_buffer struct buffer text = BUFFER_INIT(SCREEN_BYTES_MAX);
	bool folded;
	int r = prompt_question(question->request, &all, &keyboard->style, &text, &folded);
	if (r < 0)
		return failed(question, r);
	unsigned page = keyboard->rows > 4 ? keyboard->rows - 2 : 2, shown = 0;
	for (char *row = text.data, *next; *row; row = next) {
		next = row + strcspn(row, "\n");
		next += *next == '\n';
		char saved = *next;
		*next = '\0';
		r = say(question, row);
		*next = saved;
		struct key key = {KEY_CHARACTER, ' '};
		if (r == 0 && ++shown % page == 0 && saved) {
			say(question, "-- more: any key; q: enough --");
			r = keyboard_key(keyboard, &key);
			say(question, keyboard->plain ? "\n" : "\r\033[K");
		}
		if (r < 0)
			return failed(question, r);
		if (key.character == 'q' || key.kind == KEY_INTERRUPT || key.kind == KEY_END)
			return OUTCOME_CHOOSE;
	}
	question->whole = true;
	return OUTCOME_CHOOSE;
}

/* Something typed, without its Enter, in text. OUTCOME_CHOOSE: typed is to be looked at. */
static int read_key(struct question *question, char text[2])
{
	struct key key = {KEY_IGNORED, 0};
	while (key.kind == KEY_IGNORED) {
		int r = keyboard_key(question->keyboard, &key);
		if (r < 0)
			return failed(question, r);
	}
	text[0] = key.character;
	text[1] = '\0';
	switch (key.kind) {
	case KEY_ENTER:
		return refused(question, "Enter alone is no answer");
	case KEY_INTERRUPT:
		return refused(question, "interrupted by ^C");
	case KEY_END:
		return refused(question, "end of file");
	case KEY_UNCLEAR:
		return refused(question, "the keys were no clear answer");
	case KEY_SUSPEND:
		say(question, "^Z\n");
		keyboard_suspend(question->keyboard);
		return OUTCOME_AGAIN;
	case KEY_REDRAW:
		return OUTCOME_AGAIN;
	default:
		return OUTCOME_CHOOSE;
	}
}

static int read_choice(struct question *question, enum prompt_choice *ret)
{
	struct keyboard *keyboard = question->keyboard;
	char typed[256];
	bool lines = keyboard->plain || question->offer.words;
	int r = keyboard_quiet(keyboard);
	if (r == 0)
		r = lines ? keyboard_line(keyboard, "> ", typed, sizeof(typed))
			  : say(question, "> ");
	if (r < 0)
		return failed(question, r);
	r = lines ? OUTCOME_CHOOSE : read_key(question, typed);
	*ret = r == OUTCOME_CHOOSE ? prompt_choice(typed, &question->offer) : CHOICE_NONE;
	return r;
}

/* A line of the person's own words. -ECANCELED: none. */
static int read_text(struct question *question, const char *label, const char *initial, char **ret)
{
	struct keyboard *keyboard = question->keyboard;
	char typed[REASON_BYTES_MAX];
	if (!keyboard->plain && !question->offer.words)
		return keyboard_edit(keyboard, label, initial, ret);
	int r = keyboard_line(keyboard, label, typed, sizeof(typed));
	if (r < 0 || !*typed)
		return r < 0 && r != -ENODATA ? r : -ECANCELED;
	*ret = strdup(typed);
	return *ret ? 0 : -ENOMEM;
}

static int choose_always(struct question *question)
{
	struct keyboard *keyboard = question->keyboard;
	cleanup_buffer struct buffer text = BUFFER_INIT(SCREEN_BYTES_MAX);
	buffer_append_string(&text, "always\n\nThis rule would be added to your coffer.toml:\n\n");
	show_rows(&text, question->rule, "  ", "      ", 0, &keyboard->style);
	buffer_append_string(&text, question->offer.words ? "\nWrite it? (yes, or anything else)\n"
							  : "\nWrite it? (y, or anything else)\n");
	int r = keyboard_write_buffer(keyboard, &text);
	if (r < 0)
		return failed(question, r);
	enum prompt_choice choice = CHOICE_NONE;
	r = read_choice(question, &choice);
	if (r != OUTCOME_CHOOSE)
		return r;
	if (choice == CHOICE_ONCE)
		return answered(question, ANSWER_ALWAYS, "yes, always");
	say(question, "not written\n");
	return OUTCOME_CHOOSE;
}

static int choose_edit(struct question *question)
{
	cleanup_free char *old = quote_command(question->request->request->argv);
	cleanup_free char *new = NULL;
	struct error error = {0};
	say(question, "edit\n");
	if (!old)
		return failed(question, -ENOMEM);
	int r = keyboard_external_edit(question->keyboard, old, &new, &error);
	if (r == -ENOENT)
		r = read_text(question, "new command: ", old, &new);
	if (r == -ECANCELED || (r == 0 && strcmp(old, new) == 0)) {
		say(question, "not changed\n");
		return OUTCOME_CHOOSE;
	}
	if (r < 0)
		return failed(question, r);
	bool script = quote_script(question->request->request->argv);
	struct strv *argv = &question->ret->argv;
	r = script ? -EOPNOTSUPP : quote_parse(new, argv);
	/* A shell says where the quote is open, better than we could. */
	if (r == -EOPNOTSUPP || r == -EINVAL) {
		r = strv_add(argv, script ? question->request->request->argv[0] : "bash");
		r = r < 0 ? r : strv_add(argv, "-c");
		r = r < 0 ? r : strv_add(argv, new);
	}
	if (r < 0)
		return failed(question, r);
	return answered(question, ANSWER_EDIT, "changed; what it is now is decided anew");
}

static int choose_reason(struct question *question)
{
	int r = say(question, "no\n");
	if (r == 0)
		r = read_text(question, "why, for the agent: ", "", &question->ret->reason);
	if (r < 0 && r != -ECANCELED)
		return failed(question, r);
	return answered(question, ANSWER_NO, "no");
}

static int act(struct question *question, enum prompt_choice choice)
{
	bool yes = choice == CHOICE_ONCE || choice == CHOICE_SESSION || choice == CHOICE_ALWAYS;
	if (choice == CHOICE_VIEW)
		return show_whole(question);
	if (yes && !question->whole) {
		say(question, "not yet: this is all of it\n");
		return show_whole(question);
	}
	switch (choice) {
	case CHOICE_ONCE:
		return answered(question, ANSWER_ONCE, "yes, once");
	case CHOICE_SESSION:
		return answered(question, ANSWER_SESSION, "yes, for this session");
	case CHOICE_ALWAYS:
		return choose_always(question);
	case CHOICE_EDIT:
		return choose_edit(question);
	case CHOICE_REASON:
		return choose_reason(question);
	case CHOICE_STOP:
		return answered(question, ANSWER_STOP, "no, and stop");
	case CHOICE_NONE:
		return refused(question, "that was none of the answers");
	default:
		return answered(question, ANSWER_NO, "no");
	}
}

/* From the terminal in our hands to an answer. */
static int put(struct question *question)
{
	struct keyboard *keyboard = question->keyboard;
	int r = keyboard_take(keyboard, question->error);
	if (r < 0)
		return r;
	r = show(question);
	while (r == OUTCOME_CHOOSE) {
		question->offer = (struct prompt_offer){.session = question->request->before,
			.always = question->rule,
			.edit = !question->request->fixed,
			.view = !question->whole,
			.words = keyboard->contested};
		cleanup_buffer struct buffer answers = BUFFER_INIT(4096);
		enum prompt_choice choice = CHOICE_NONE;
		r = prompt_answers(&question->offer, &keyboard->style, &answers);
		if (r == 0)
			r = keyboard_write_buffer(keyboard, &answers);
		r = r < 0 ? failed(question, r) : read_choice(question, &choice);
		if (r == OUTCOME_CHOOSE)
			r = act(question, choice);
	}
	keyboard_give_back(keyboard);
	return r;
}

static int terminal_ask(struct approver *approver, const struct approval_request *request,
	struct approval_answer *ret, struct error *error)
{
	struct terminal_approver *terminal = (struct terminal_approver *)approver;
	struct question question = {
		.keyboard = &terminal->keyboard, .request = request, .ret = ret, .error = error};
	*ret = (struct approval_answer){.kind = ANSWER_NO, .by = "person"};
	cleanup_buffer struct buffer rule = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	if (request->suggest_rule && rule_text(request, &rule) == 0)
		question.rule = rule.data;
	int r = OUTCOME_AGAIN;
	while (r == OUTCOME_AGAIN)
		r = put(&question);
	if (r < 0)
		approval_answer_release(ret);
	return r < 0 ? r : 0;
}

static void terminal_free(struct approver *approver)
{
	struct terminal_approver *terminal = (struct terminal_approver *)approver;
	keyboard_close(&terminal->keyboard);
	free(terminal);
}

/* There is none, or none for us: that is for whoever wants to ask to say, and not a fault. */
static bool is_absence(int error)
{
	static const int errors[] = {-ENXIO, -ENODEV, -EIO, -EACCES, -EPERM};
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (error == errors[i])
			return true;
	return false;
}

int approver_terminal(struct approver **ret, struct error *error)
{
	struct terminal_approver *terminal = calloc(1, sizeof(*terminal));
	*ret = NULL;
	if (!terminal)
		return error_set(error, ENOMEM, "terminal", "out of memory");
	terminal->approver = (struct approver){.ask = terminal_ask, .free = terminal_free};
	int r = keyboard_open(&terminal->keyboard, error);
	if (r == 0)
		*ret = &terminal->approver;
	else
		free(terminal);
	return is_absence(r) ? 0 : r;
}

void approver_free(struct approver *approver)
{
	if (approver)
		approver->free(approver);
}
