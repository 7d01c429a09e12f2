package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

const appHelp = `{{.Name}}: {{.Usage}}

{{.Description}}

EXAMPLES:
   {{indent 3 .UsageText | trim}}

COMMANDS:{{range .VisibleCategories}}{{if .Name}}

   {{.Name}}:{{end}}{{range .VisibleCommands}}
     {{join .Names ", "}}{{"\t"}}{{.Usage}}{{end}}{{end}}

OPTIONS, before or after any command:
   {{range $i, $f := .VisibleFlags}}{{if $i}}
   {{end}}{{$f}}{{end}}

"{{.Name}} COMMAND --help" tells more about a command.
`

const commandHelp = `{{.HelpName}}: {{.Usage}}

USAGE:
   {{.HelpName}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}{{if .Description}}

{{.Description}}{{end}}{{if .UsageText}}

EXAMPLES:
   {{indent 3 .UsageText | trim}}{{end}}{{if .VisibleCommands}}

COMMANDS:{{range .VisibleCommands}}
   {{.Name}}{{"\t"}}{{.Usage}}{{end}}{{end}}{{if .VisibleFlags}}

OPTIONS:
   {{range $i, $f := .VisibleFlags}}{{if $i}}
   {{end}}{{$f}}{{end}}{{end}}

The options of "skiff --help" (--name, --namespace, --kubeconfig …) go with every command.
`

// examples joins the lines of a command's examples.
func examples(lines ...string) string { return strings.Join(lines, "\n") }

// Flags that several commands have.

func fileFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "filename", Aliases: []string{"f"}, Usage: "manifest `FILE`, directory, http(s) URL, or - for standard input; may repeat"},
		&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "read the directories below those named with -f, too"},
	}
}

func selectorFlag() cli.Flag {
	return &cli.StringFlag{Name: "selector", Aliases: []string{"l"}, Usage: "only objects with these `LABELS`: key=value, key!=value, 'key in (a,b)'"}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "print the result as `FORMAT`: name, json, yaml, jsonpath=…, go-template=…"}
}

func recordFlag() cli.Flag {
	return &cli.BoolFlag{Name: "record", Usage: "write this command line to the object's kubernetes.io/change-cause (deprecated by kubectl)"}
}

func join(groups ...[]cli.Flag) []cli.Flag {
	var all []cli.Flag
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}
