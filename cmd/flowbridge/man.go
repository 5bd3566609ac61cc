package main

import (
	"cmp"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// variables are those of the environment that no flag stands for. Each may be given as NAME_FILE where it is a secret.
var variables = []struct {
	name, about string
	secret      bool
}{
	{"META_APP_SECRET", "App secret of Meta's app: it signs webhooks. Several with commas, to replace one.", true},
	{"META_VERIFY_TOKEN", "What Meta's dashboard is given as verify token.", true},
	{"META_ACCESS_TOKEN", "Token for Meta's Graph API, which knows names. Optional.", true},
	{"SLACK_BOT_TOKEN", "Token of the Slack app, xoxb-...", true},
	{"SLACK_SIGNING_SECRET", "For buttons and commands over HTTP.", true},
	{"SLACK_APP_TOKEN", "For buttons and commands over Socket Mode, xapp-...", true},
	{"PAGERDUTY_API_TOKEN", "For numbers, links and owners of pages. Optional.", true},
	{"PAGERDUTY_WEBHOOK_SECRET", "Of the webhook that tells what people do in PagerDuty. Several with commas.", true},
	{"FLOWBRIDGE_ADMIN_TOKEN", "Whoever has it may do everything at the admin address. The subcommands send it.", true},
	{"FLOWBRIDGE_VIEW_TOKEN", "Whoever has it may look there.", true},
	{"PAGERDUTY_FROM", "E-mail address of a PagerDuty user, who acts there for people.", false},
	{"META_GRAPH_URL", "Where Meta's Graph API is.", false},
	{"SLACK_API_URL", "Where Slack's API is: another one for GovSlack.", false},
	{"PAGERDUTY_EVENTS_URL", "Where PagerDuty takes events: another one in the EU.", false},
	{"PAGERDUTY_API_URL", "Where PagerDuty's REST API is.", false},
}

type manCommand struct{}

// Run prints flowbridge(1) in mdoc.
func (manCommand) Run(p *program, line *kong.Context) error {
	_, err := fmt.Fprint(p.Stdout, manPage(newCLIModel(line.Model), builtAt()))
	return err
}

// builtAt is the day of the commit that this was built from; zero where it is not known.
func builtAt() (day time.Time) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return day
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			day, _ = time.Parse(time.RFC3339, s.Value)
		}
	}
	return day
}

// manPage writes the page. Source of the macros: mdoc(7).
func manPage(m cliModel, day time.Time) string {
	var b strings.Builder
	date := "$Mdocdate$" // today
	if !day.IsZero() {
		date = day.Format("January 2, 2006")
	}
	app := m.Commands[0]
	fmt.Fprintf(&b, ".Dd %s\n.Dt FLOWBRIDGE 1\n.Os\n.Sh NAME\n.Nm flowbridge\n.Nd %s\n", date,
		roff("WhatsApp Flows alerts to Slack and PagerDuty"))
	b.WriteString(".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar argument ...\n.Nm\n.Cm help\n.Op Ar command\n")
	b.WriteString(".Sh DESCRIPTION\nMeta posts signed webhooks about WhatsApp Flows.\n.Nm\nverifies them, writes them " +
		"to disk, runs them through rules in YAML,\nand opens, updates and resolves incidents in Slack and " +
		"PagerDuty.\n.Pp\nIts manual is in the program:\n.Nm\n.Cm docs\nlists the pages.\n.Sh COMMANDS\n")
	for _, c := range m.Commands[1:] {
		manCommandOf(&b, app, c)
	}
	b.WriteString(".Sh ENVIRONMENT\nFlags name their variables above.\nSecrets come from the environment only;\n" +
		"each may be in a file instead, which\n.Ev NAME_FILE\nnames.\n.Bl -tag -width Ds\n")
	for _, v := range variables {
		fmt.Fprintf(&b, ".It Ev %s\n%s\n", v.name, roff(v.about))
	}
	b.WriteString(
		".El\n.Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nDone.\n.It 1\nA fault was found.\n.It 2\nWrong usage.\n.El\n")
	b.WriteString(".Sh EXAMPLES\nA day of trouble with stand-in services; nothing leaves the machine:\n.Pp\n.Dl " +
		"flowbridge demo\n.Pp\nLook at rules, then at all that serve needs:\n.Pp\n.Dl flowbridge check rules.yaml\n.Dl " +
		"flowbridge doctor\n")
	return b.String()
}

// manCommandOf writes what is known of a command.
func manCommandOf(b *strings.Builder, app, c cliCommand) {
	words := strings.TrimPrefix(c.Path, app.Path+" ")
	fmt.Fprintf(b, ".Ss %s\n.D1 Nm Cm %s\n%s\n", roffWords(words), roffWords(c.Usage), roff(c.Help))
	if len(c.Children) > 0 {
		return // each has a part of its own
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, ".Pp\nAlso called\n.Cm %s .\n", roffWords(strings.Join(c.Aliases, ", ")))
	}
	if len(c.Args)+len(c.Flags) == 0 {
		return
	}
	b.WriteString(".Bl -tag -width Ds\n")
	for _, arg := range c.Args {
		fmt.Fprintf(b, ".It Ar %s\n%s\n", roffWords(arg.Name), roff(arg.said()))
	}
	for _, flag := range c.Flags {
		value := ""
		if !flag.Switch {
			value = " Ns = Ns Ar " + roffWords(flag.Placeholder)
		}
		fmt.Fprintf(b, ".It Fl -%s%s\n%s\n", roffWords(flag.Name), value, roff(flag.said()))
	}
	b.WriteString(".El\n")
}

// said is the help, the default, and the variable that stands for a flag.
func (v cliValue) said() string {
	text := cmp.Or(v.about(), v.Name+".")
	if len(v.Env) > 0 {
		text += " Environment: " + strings.Join(v.Env, ", ") + "."
	}
	return text
}

// sentence is where one ends and another begins: mdoc wants each on a line of its own.
var sentence = regexp.MustCompile(`([.?]) +(\S)`)

// roff writes a text so that nothing in it is an instruction: a backslash, and what a line begins with.
func roff(text string) string {
	text = sentence.ReplaceAllString(strings.NewReplacer(`\`, `\e`, "\n", " ").Replace(text), "$1\n$2")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// roffWords writes words beside a macro so that none of them is taken for a macro or for punctuation.
func roffWords(text string) string {
	words := strings.Fields(strings.ReplaceAll(text, `\`, `\e`))
	for i, word := range words {
		words[i] = `\&` + strings.ReplaceAll(word, `"`, `\(dq`)
	}
	return strings.Join(words, " ")
}
