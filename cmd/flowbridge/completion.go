package main

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"

	"flowbridge/cmd/flowbridge/assets"
	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

// completionScripts are templates over a cliModel, one for each shell.
//
//go:embed completion/*.tmpl
var completionScripts embed.FS

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"For which shell: ${enum}."`
}

// Run prints the script of a shell. It asks nobody: what it offers is what this binary knows.
func (c completionCommand) Run(p *program, line *kong.Context) error {
	model := newCLIModel(line.Model)
	script, err := template.New(c.Shell+".tmpl").Funcs(template.FuncMap{
		"quote": quoteShell, "fish": quoteFish, "spec": zshSpec, "join": strings.Join, "zshWord": zshWord,
	}).ParseFS(completionScripts, "completion/"+c.Shell+".tmpl")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := script.Execute(&out, model); err != nil {
		return err
	}
	_, err = p.Stdout.Write(out.Bytes())
	return err
}

// cliModel is the command line as shells and the manual page see it: every command, the program itself first.
type cliModel struct{ Commands []cliCommand }

// cliCommand is a command, or the program itself.
type cliCommand struct {
	Path     string // "flowbridge incidents list"
	Name     string
	Help     string
	Usage    string
	Aliases  []string
	Children []cliCommand
	Flags    []cliValue
	Args     []cliValue
}

// ID names the command in functions of a shell.
func (c cliCommand) ID() string { return strings.NewReplacer(" ", "_", "-", "_").Replace(c.Path) }

// cliValue is a flag or an argument.
type cliValue struct {
	Name        string // without --
	Help        string
	Default     string
	Env         []string
	Placeholder string
	Switch      bool     // a flag without a value
	Many        bool     // may be repeated
	Optional    bool     // an argument that may be left out
	Words       []string // what it can be, or what is usual; nil: anything
	Files       bool     // it is the path of a file
}

// newCLIModel reads what the parser knows. Hidden commands and flags are left out.
func newCLIModel(app *kong.Application) cliModel {
	var m cliModel
	var add func(n *kong.Node, path string) cliCommand
	add = func(n *kong.Node, path string) cliCommand {
		c := cliCommand{Path: path, Name: n.Name, Help: n.Help, Usage: usageOf(n), Aliases: n.Aliases}
		at := len(m.Commands)
		m.Commands = append(m.Commands, c)
		for _, flag := range flagsOf(n) {
			c.Flags = append(c.Flags, newCLIFlag(flag))
		}
		for _, arg := range n.Positional {
			c.Args = append(c.Args, newCLIArg(arg))
		}
		for _, child := range n.Children {
			if !child.Hidden {
				c.Children = append(c.Children, add(child, path+" "+child.Name))
			}
		}
		m.Commands[at] = c
		return c
	}
	add(app.Node, app.Name)
	return m
}

// flagsOf are the flags that may be given to a command: its own, and those of the command that it stands for without
// another word.
func flagsOf(n *kong.Node) (all []*kong.Flag) {
	nodes := []*kong.Node{n}
	if n.DefaultCmd != nil {
		nodes = append(nodes, n.DefaultCmd)
	}
	for _, node := range nodes {
		for _, flag := range node.Flags {
			if !flag.Hidden && !slices.Contains(all, flag) && flag.Name != "help" {
				all = append(all, flag)
			}
		}
	}
	return all
}

func newCLIFlag(f *kong.Flag) cliValue {
	v := newCLIArg(f.Value)
	v.Env, v.Switch = f.Envs, f.IsBool() || f.IsCounter()
	v.Default = ""
	if f.HasDefault && !v.Switch {
		v.Default = f.Default
	}
	if !v.Switch {
		v.Placeholder = placeholderOf(f)
	}
	return v
}

// placeholderOf is what stands for the value of a flag: never its default, which is said beside it.
func placeholderOf(f *kong.Flag) string {
	if f.PlaceHolder != "" {
		return f.PlaceHolder
	}
	return strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

func newCLIArg(v *kong.Value) cliValue {
	words, files := offered(v)
	return cliValue{
		Name: v.Name, Help: v.Help, Many: v.IsCumulative(), Optional: !v.Required, Words: words, Files: files,
	}
}

// offered are the words that a shell offers for a value, from its enum or from the tag complete: a name of the list
// below. files: it offers files.
func offered(v *kong.Value) (words []string, files bool) {
	if v.Enum != "" {
		return v.EnumSlice(), false
	}
	switch name := v.Tag.Get("complete"); name {
	case "":
		return nil, strings.HasPrefix(v.Tag.PlaceHolder, "FILE")
	case "file":
		return nil, true
	case "samples":
		return whatsapp.SampleNames(), false
	case "events":
		return router.KnownEvents(), false
	case "states":
		return []string{router.Activated, router.Deactivated}, false
	case "statuses":
		return router.Statuses(), false
	case "error-types":
		return router.KnownErrorTypes(), false
	case "assets":
		return assets.Names(), false
	case "pages":
		return manualPages, false
	default:
		return strings.Split(name, ","), false
	}
}

// quoteShell writes a text as one word of bash or zsh.
func quoteShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// quoteFish writes a text as one word of fish.
func quoteFish(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

// zshSpec is what zsh's _arguments takes for a flag or an argument.
func zshSpec(v cliValue, flag bool) string {
	action := ":"
	switch {
	case v.Files:
		action = ":_files"
	case len(v.Words) > 0:
		action = ":(" + strings.Join(v.Words, " ") + ")"
	}
	help := zshWord(v.about())
	switch {
	case flag && v.Switch:
		return quoteShell("--" + v.Name + "[" + help + "]")
	case flag:
		many := ""
		if v.Many {
			many = "*"
		}
		return quoteShell(many + "--" + v.Name + "=[" + help + "]:" + zshWord(v.Placeholder) + action)
	case v.Many:
		return quoteShell("*:" + zshWord(v.Name) + action)
	case v.Optional:
		return quoteShell("::" + zshWord(v.Name) + action)
	}
	return quoteShell(":" + zshWord(v.Name) + action)
}

// zshWord takes from a text what means something to _arguments and _describe.
func zshWord(text string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(text)
}

// about is the help with the default, where the help does not say it.
func (v cliValue) about() string {
	if v.Default == "" || strings.Contains(v.Help, "Default:") {
		return v.Help
	}
	return fmt.Sprintf("%s Default: %s.", cmp.Or(v.Help, v.Name), v.Default)
}

// About is the help of a value in a script or a page.
func (v cliValue) About() string { return v.about() }
