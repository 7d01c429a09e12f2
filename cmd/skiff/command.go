package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// spec is one command: what help tells about it, its flags and what it does.
// A command that only has others below it has subs instead of run.
type spec struct {
	name, args, short, long string
	examples                string
	flags                   func(*flags)
	run                     func(*call) error
	subs                    []*cobra.Command
}

// onlyFile says in help that a command is told by flags alone what to act on.
const onlyFile = "-f FILE"

// command refuses words that the command has no use for: in "skiff down test
// --purge" somebody meant an instance, and not the default one.
func (s spec) command() *cobra.Command {
	c := &cobra.Command{
		Use: strings.TrimSpace(s.name + " " + s.args), Short: s.short, Long: s.long, Example: s.examples,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && (s.args == "" || s.args == onlyFile) {
				return newCall(c, args).usage(fmt.Sprintf("unexpected argument %q", args[0]))
			}
			return s.run(newCall(c, args))
		},
	}
	if s.run == nil {
		c.RunE = missingCommand
		// What is unknown there is the command, not its flags.
		c.FParseErrWhitelist.UnknownFlags = true
	}
	c.Flags().SortFlags = false
	if s.flags != nil {
		s.flags(&flags{c.Flags()})
	}
	c.AddCommand(s.subs...)
	return c
}

// missingCommand is what a command does that needs another one behind it.
func missingCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{command: c.CommandPath(), message: "a command is missing"}
	}
	message := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
	c.SuggestionsMinimumDistance = 2
	if known := c.SuggestionsFor(args[0]); len(known) > 0 {
		message += fmt.Sprintf(" (did you mean %q?)", known[0])
	}
	return usageError{command: c.CommandPath(), message: message}
}

// examples joins the lines of a command's examples.
func examples(lines ...string) string { return strings.Join(lines, "\n") }

// call is one use of a command.
type call struct {
	command *cobra.Command
	ctx     context.Context
	args    []string
}

func newCall(c *cobra.Command, args []string) *call {
	return &call{command: c, ctx: c.Context(), args: args}
}

// usage is an error in the command line itself.
func (c *call) usage(message string) error {
	return usageError{command: c.command.CommandPath(), message: message}
}

// IsSet tells whether the user gave the flag.
func (c *call) IsSet(name string) bool { return c.command.Flags().Changed(name) }

// What commands share asks for flags that only some of them have. One that a
// command does not have is as one that is not set.

func (c *call) String(name string) string {
	value, _ := c.command.Flags().GetString(name)
	return value
}

func (c *call) StringSlice(name string) []string {
	value, _ := c.command.Flags().GetStringSlice(name)
	return value
}

func (c *call) Bool(name string) bool {
	value, _ := c.command.Flags().GetBool(name)
	return value
}

func (c *call) Int64(name string) int64 {
	value, _ := c.command.Flags().GetInt64(name)
	return value
}

func (c *call) Duration(name string) time.Duration {
	value, _ := c.command.Flags().GetDuration(name)
	return value
}

// flags are those of a command, as it names them: long, short, default, use.
type flags struct{ set *pflag.FlagSet }

func (f *flags) String(name, short, value, usage string) { f.set.StringP(name, short, value, usage) }

func (f *flags) Strings(name, short, usage string) { f.set.StringSliceP(name, short, nil, usage) }

func (f *flags) Bool(name, short string, value bool, usage string) {
	f.set.BoolP(name, short, value, usage)
}

func (f *flags) Int64(name string, value int64, usage string) {
	f.set.Int64(name, value, usage)
	if value < 0 {
		f.set.Lookup(name).DefValue = "0" // it means none, which help need not print
	}
}

func (f *flags) Duration(name string, value time.Duration, usage string) {
	f.set.Duration(name, value, usage)
}

// Optional gives a flag that may stand without a value what it means then. Only
// = gives it another.
func (f *flags) Optional(name, assumed string) { f.set.Lookup(name).NoOptDefVal = assumed }

// Flags that several commands have.

func globalFlags(f *flags) {
	f.String("name", "", cmp.Or(os.Getenv("SKIFF_NAME"), defaultName), "`INSTANCE` to act on ($SKIFF_NAME); instances live side by side")
	f.String("data-dir", "", os.Getenv("SKIFF_DATA_DIR"), "`DIRECTORY` of the instance's state ($SKIFF_DATA_DIR), else $XDG_DATA_HOME/skiff/INSTANCE or ~/.local/share/skiff/INSTANCE")
	f.String("namespace", "n", "", "`NAMESPACE` to act in")
	f.String("kubeconfig", "", "", "act on the cluster of this kubeconfig `FILE` instead of the instance")
	f.String("context", "", "", "act on the cluster of this `CONTEXT` of the kubeconfig")
}

func fileFlags(f *flags) {
	f.Strings("filename", "f", "manifest `FILE`, directory, http(s) URL, or - for standard input; may repeat")
	f.Bool("recursive", "R", false, "read the directories below those named with -f, too")
}

func selectorFlag(f *flags) {
	f.String("selector", "l", "", "only objects with these `LABELS`: key=value, key!=value, 'key in (a,b)'")
}

func outputFlag(f *flags) {
	f.String("output", "o", "", "print the result as `FORMAT`: name, json, yaml, jsonpath=…")
}

func recordFlag(f *flags) {
	f.Bool("record", "", false, "write this command line to the object's kubernetes.io/change-cause (deprecated by kubectl)")
}
