// Command flowbridge carries WhatsApp Flows alerts from Meta to Slack and PagerDuty. This package is the
// program: flags, wiring, one file for each subcommand. What the bridge does is in flowbridge/router and
// the rooms below it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"flowbridge/router/whatsapp"
)

func main() {
	surviveBrokenPipes()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	stderr := &outlet{file: os.Stderr}
	p := program{Stdin: os.Stdin, Stdout: &outlet{file: os.Stdout}, Stderr: stderr, Getenv: os.LookupEnv,
		GiveWay: giveWay, GiveBack: giveBack,
		GroupLimit: func() int64 { return groupLimit(os.DirFS("/")) }}
	code := p.run(ctx, os.Args[1:])
	stop()
	stderr.flush()
	os.Exit(code)
}

// The exit statuses.
const (
	exitDone  = 0
	exitFault = 1 // found a fault
	exitUsage = 2 // wrong usage
)

// program is flowbridge as a value: all that it touches of the outside.
type program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(name string) (value string, ok bool)

	// GiveWay is called before work that takes long and is in no hurry. Default: nothing happens.
	GiveWay func()
	// GiveBack is called once a bridge has started, to free what only its start needed. Default: nothing happens.
	GiveBack func()
	// GroupLimit returns how many bytes of memory the control groups of this process may have, 0 for no limit. Default:
	// none.
	GroupLimit func() int64
}

// inNoHurry lets a bridge go first.
func (p *program) inNoHurry() {
	if p.GiveWay != nil {
		p.GiveWay()
	}
}

// commands is the command line.
type commands struct {
	Serve         serveCommand         `cmd:"" help:"Run the bridge."`
	Demo          demoCommand          `cmd:"" help:"Run the bridge with stand-in services and play a day of trouble."`
	Check         checkCommand         `cmd:"" help:"Check rules files: every mistake and warning with its place."`
	Schema        schemaCommand        `cmd:"" help:"Print the JSON Schema of the rules file, for editors."`
	Explain       explainCommand       `cmd:"" help:"Say what the rules make of an event, and why."`
	Replay        replayCommand        `cmd:"" help:"Fold the stored journal through other rules and print what would be told otherwise."`
	Test          testCommand          `cmd:"" help:"Play the stories that test a rules file."`
	Send          sendCommand          `cmd:"" help:"Post a signed sample event to a running bridge."`
	Drill         drillCommand         `cmd:"" help:"Send a signed pair, marked DRILL, through a running bridge, and say who was told and how long it took."`
	Incidents     incidentsCommand     `cmd:"" help:"List, show and act on the incidents of a running bridge."`
	Events        eventsCommand        `cmd:"" help:"List, show and follow what came in, and what came of it."`
	Deliveries    deliveriesCommand    `cmd:"" help:"List and retry what is owed to notifiers."`
	Silences      silencesCommand      `cmd:"" help:"List, add and remove silences."`
	Report        reportCommand        `cmd:"" help:"Say what a shift or a week was like: incidents, pages, nights, times."`
	Audit         auditCommand         `cmd:"" help:"List who did what, how that is known, and from where."`
	Forget        forgetCommand        `cmd:"" help:"Blank what is held of a person, and say what it was."`
	Doctor        doctorCommand        `cmd:"" help:"Check credentials, channels, keys, database, clock and certificate, and say how to mend each."`
	Backup        backupCommand        `cmd:"" help:"Copy the database to a new file while the bridge runs."`
	SlackManifest slackManifestCommand `cmd:"" help:"Print the manifest of the Slack app, to be pasted into Slack."`
	Docs          docsCommand          `cmd:"" help:"Print the manual: its pages, or one of them."`
	Assets        assetsCommand        `cmd:"" help:"Print or write files for running it: units, manifests, alert rules, a dashboard."`
	Completion    completionCommand    `cmd:"" help:"Print what completes commands and flags in a shell."`
	Man           manCommand           `cmd:"" help:"Print the manual page, for man."`
	Version       versionCommand       `cmd:"" help:"Print the version, as --version does."`
	Healthcheck   healthcheckCommand   `cmd:"" hidden:"" help:"Ask a running bridge on this machine whether it is ready."`
}

// errFault ends a command with exit status 1 after it has said everything itself.
var errFault = errors.New("fault")

// usageError is a fault in how a command was called that the parser does not find: exit status 2.
type usageError struct{ error }

func wrongUsage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run parses the arguments, runs the command they name and returns the exit status.
func (p *program) run(ctx context.Context, args []string) (code int) {
	var c commands
	parser, err := kong.New(&c, p.options(ctx)...)
	if err != nil {
		fmt.Fprintln(p.Stderr, "flowbridge:", err)
		return exitFault
	}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exit:
			code = int(e)
			if len(args) == 0 {
				code = exitUsage
			}
		default:
			panic(e)
		}
	}()
	switch {
	case len(args) == 0: // wrong usage, since a script that forgot the command must not go on
		parser.Stdout = p.Stderr
		_, _ = parser.Parse([]string{"--help"})
		return exitUsage
	case args[0] == "help":
		args = append(args[1:], "--help")
	case args[0] == "--version":
		args[0] = "version"
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(p.Stderr, "flowbridge: %s\nTry: %s\n", parseWords(err), helpFor(err))
		return exitUsage
	}
	switch err := parsed.Run(); {
	case err == nil:
		return exitDone
	case errors.Is(err, errFault):
		return exitFault
	case errors.As(err, new(usageError)):
		fmt.Fprintf(p.Stderr, "flowbridge: %v\nTry: flowbridge help %s\n", err, parsed.Selected().Path())
		return exitUsage
	default:
		fmt.Fprintln(p.Stderr, "flowbridge:", err)
		return exitFault
	}
}

// noValue is how the parser says that a flag stands at the end of the line, or before another one, without its value.
var noValue = regexp.MustCompile(`^(--[a-z-]+): expected \S+ value but got "[^"]*" \(.*\)$`)

// parseWords says what is wrong with a command line.
func parseWords(err error) string {
	if m := noValue.FindStringSubmatch(err.Error()); m != nil {
		return m[1] + " has no value: write " + m[1] + "=VALUE"
	}
	return err.Error()
}

// helpFor names the help of the command that a mistake was made in.
func helpFor(err error) string {
	help := "flowbridge help"
	fault, ok := errors.AsType[*kong.ParseError](err)
	if !ok || fault.Context == nil {
		return help
	}
	for _, at := range fault.Context.Path {
		if at.Command != nil {
			help += " " + at.Command.Name
		}
	}
	return help
}

// printHelp prints what the parser does, with a usage that says which flags exclude each other.
func printHelp(options kong.HelpOptions, line *kong.Context) error {
	var text strings.Builder
	out := line.Stdout
	line.Stdout = &text
	err := kong.DefaultHelpPrinter(options, line)
	line.Stdout = out
	said := text.String()
	_ = kong.Visit(line.Model, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Node); ok && n.Type == kong.CommandNode {
			said = strings.ReplaceAll(said, n.Summary()+"\n", usageOf(n)+"\n")
		}
		return next(nil)
	})
	_, wrong := io.WriteString(out, said)
	return errors.Join(err, wrong)
}

// usageOf is the usage of a command: "forget (--phone=NUMBER | --user=ID) [flags]".
func usageOf(n *kong.Node) string {
	usage := n.Summary()
	groups := map[string][]*kong.Flag{}
	for _, flag := range n.Flags {
		for _, group := range flag.Xor {
			groups[group] = append(groups[group], flag)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		var each []string
		required := true
		for _, flag := range groups[name] {
			each = append(each, flag.Summary())
			usage = strings.Replace(usage, " "+flag.Summary(), "", 1)
			required = required && flag.Required
		}
		choice := "[" + strings.Join(each, " | ") + "]"
		if required {
			choice = "(" + strings.Join(each, " | ") + ")"
		}
		usage = strings.TrimSuffix(usage, " [flags]") + " " + choice + " [flags]"
	}
	return usage
}

// options are those of the parser of the command line.
func (p *program) options(ctx context.Context) []kong.Option {
	return []kong.Option{
		kong.Name("flowbridge"),
		kong.Description("WhatsApp Flows alerts to Slack and PagerDuty."),
		kong.Vars{"samples": strings.Join(whatsapp.SampleNames(), ", ")},
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true}),
		kong.Help(printHelp),
		kong.Writers(p.Stdout, p.Stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(p),
	}
}

// exit carries an exit status out of the parser, which prints help and leaves.
type exit int
