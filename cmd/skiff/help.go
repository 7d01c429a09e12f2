package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Help is written by hand: with text/template in the program, which may call any
// method by its name, the linker has to keep every method of every type, and
// the program is 16 MB larger.

const appHelp = `%s

Usage:
   skiff COMMAND [options]

Examples:
%s
%s
Options, before or after any command:
%s
"skiff COMMAND --help" tells more about a command.
`

const globalHint = `
With every command go --name, --data-dir, --namespace (-n), --kubeconfig and --context: see "skiff --help".
`

func (p *program) help(c *cobra.Command, _ []string) {
	if c.HasParent() {
		commandHelp(p.Out, c)
		return
	}
	var groups strings.Builder
	for _, g := range c.Groups() {
		fmt.Fprintf(&groups, "\n%s:\n", g.Title)
		for _, command := range c.Commands() {
			if command.GroupID == g.ID {
				listCommand(&groups, command)
			}
		}
	}
	printf(p.Out, appHelp, c.Long, indented(c.Example), groups.String(), c.LocalFlags().FlagUsages())
}

func commandHelp(w io.Writer, c *cobra.Command) {
	printf(w, "%s: %s\n", c.CommandPath(), c.Short)
	if c.Long != "" {
		printf(w, "\n%s\n", c.Long)
	}
	usage := c.Parent().CommandPath() + " " + c.Use
	if c.HasSubCommands() {
		usage += " COMMAND"
	}
	printf(w, "\nUsage:\n   %s\n", usage)
	if c.Example != "" {
		printf(w, "\nExamples:\n%s\n", indented(c.Example))
	}
	if c.HasSubCommands() {
		printf(w, "\nCommands:\n")
		for _, sub := range c.Commands() {
			listCommand(w, sub)
		}
	}
	printf(w, "\nOptions:\n%s%s", c.LocalFlags().FlagUsages(), globalHint)
}

func listCommand(w io.Writer, c *cobra.Command) {
	printf(w, "   %-12s %s\n", c.Name(), c.Short)
}

func indented(text string) string { return "   " + strings.ReplaceAll(text, "\n", "\n   ") }
