package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

const appHelp = `{{.Description}}

Usage:
   {{.Name}} COMMAND [options]

Examples:
   {{indent 3 .UsageText | trim}}
%s
Options, before or after any command:{{range .VisibleFlags}}
   {{.}}{{end}}

"{{.Name}} COMMAND --help" tells more about a command.
`

const commandHelp = `{{.HelpName}}: {{.Usage}}{{if .Description}}

{{.Description}}{{end}}

Usage:
   {{.HelpName}}{{if .VisibleCommands}} COMMAND{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}{{if .UsageText}}

Examples:
   {{indent 3 .UsageText | trim}}{{end}}{{if .VisibleCommands}}

Commands:{{range .VisibleCommands}}
   {{.Name}}{{"\t"}}{{.Usage}}{{end}}{{end}}{{if .VisibleFlags}}

Options:{{range .VisibleFlags}}
   {{.}}{{end}}{{end}}

With every command go --name, --data-dir, --namespace (-n), --kubeconfig and --context: see "skiff --help".
`

// listGroups is the program's part of appHelp; the library sorts groups by name.
func listGroups(groups []group) string {
	var b strings.Builder
	for _, g := range groups {
		b.WriteString("\n" + g.title + ":\n")
		for _, command := range g.commands {
			fmt.Fprintf(&b, "   %-11s %s\n", command.Name, command.Usage)
		}
	}
	return b.String()
}

func init() {
	// A global of the library; the only way to have flags written as below.
	cli.FlagStringer = flagLine
}

// flagLine is a flag's line of help, in the form that users of kubectl know.
func flagLine(f cli.Flag) string {
	documented, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return "--" + f.Names()[0]
	}
	short, long := "    ", "--"+f.Names()[0]
	if names := f.Names(); len(names) > 1 {
		short = "-" + names[1] + ", "
	}
	placeholder, usage := unquote(documented.GetUsage())
	if documented.TakesValue() {
		long += " " + placeholder
	}
	value := documented.GetValue()
	if b, isBool := f.(*cli.BoolFlag); isBool {
		if value = ""; b.Value {
			value = "true"
		}
	}
	switch value {
	case "", "0", "-1", "0s", "[]":
	default:
		usage += fmt.Sprintf(" (default %s)", value)
	}
	return short + long + "\t" + usage
}

// unquote finds the name of a flag's value, which stands in backquotes.
func unquote(usage string) (placeholder, text string) {
	before, rest, found := strings.Cut(usage, "`")
	name, after, closed := strings.Cut(rest, "`")
	if !found || !closed {
		return "VALUE", usage
	}
	return name, before + name + after
}
