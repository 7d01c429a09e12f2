package main

import (
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// spec is one command: what help tells about it, its flags and what it does.
// A command that only has others below it has subs instead of run.
type spec struct {
	name, args, short, long string
	examples                string
	flags                   func(*flags)
	run                     func(*call) error
	subs                    []*cli.Command
}

func (s spec) command() *cli.Command {
	f := &flags{}
	if s.flags != nil {
		s.flags(f)
	}
	f.add(helpFlag())
	run := s.run
	if run == nil {
		run = func(c *call) error { return c.usage("a command is missing") }
	}
	return &cli.Command{
		Name: s.name, ArgsUsage: s.args, Usage: s.short, Description: s.long, UsageText: s.examples,
		Flags: *f, Subcommands: s.subs,
		CustomHelpTemplate: commandHelp, // cli takes it for help about one of subs, too
		// The library's own "help" subcommand would take a Pod called help, or h, and
		// its help flag is one variable for all.
		HideHelp: true, HideHelpCommand: true,
		OnUsageError: func(c *cli.Context, err error, _ bool) error {
			return newCall(c).usage(err.Error())
		},
		Action: func(c *cli.Context) error { return run(newCall(c)) },
	}
}

// examples joins the lines of a command's examples.
func examples(lines ...string) string { return strings.Join(lines, "\n") }

// call is one use of a command.
type call struct {
	*cli.Context
	ctx  context.Context
	args []string
}

func newCall(c *cli.Context) *call {
	return &call{Context: c, ctx: c.Context, args: c.Args().Slice()}
}

// path is the command's words, with the program's in front.
func (c *call) path() string { return c.Command.HelpName }

// usage is an error in the command line itself.
func (c *call) usage(message string) error {
	return usageError{command: c.path(), message: message}
}

// flags collects those of a command.
type flags []cli.Flag

func aliases(short string) []string {
	if short == "" {
		return nil
	}
	return []string{short}
}

func (f *flags) add(flag cli.Flag) { *f = append(*f, flag) }

func (f *flags) String(name, short, value, usage string) {
	f.add(&cli.StringFlag{Name: name, Aliases: aliases(short), Value: value, Usage: usage})
}

func (f *flags) Strings(name, short, usage string) {
	f.add(&cli.StringSliceFlag{Name: name, Aliases: aliases(short), Usage: usage})
}

func (f *flags) Bool(name, short string, value bool, usage string) {
	f.add(&cli.BoolFlag{Name: name, Aliases: aliases(short), Value: value, Usage: usage})
}

func (f *flags) Int64(name string, value int64, usage string) {
	f.add(&cli.Int64Flag{Name: name, Value: value, Usage: usage})
}

func (f *flags) Duration(name string, value time.Duration, usage string) {
	f.add(&cli.DurationFlag{Name: name, Value: value, Usage: usage})
}

// Flags that several commands have.

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Value: defaultName, EnvVars: []string{"SKIFF_NAME"}, Usage: "`INSTANCE` to act on ($SKIFF_NAME); instances live side by side"},
		&cli.StringFlag{Name: "data-dir", EnvVars: []string{"SKIFF_DATA_DIR"}, Usage: "`DIRECTORY` of the instance's state ($SKIFF_DATA_DIR), else $XDG_DATA_HOME/skiff/INSTANCE or ~/.local/share/skiff/INSTANCE"},
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "`NAMESPACE` to act in"},
		&cli.StringFlag{Name: "kubeconfig", Usage: "act on the cluster of this kubeconfig `FILE` instead of the instance"},
		&cli.StringFlag{Name: "context", Usage: "act on the cluster of this `CONTEXT` of the kubeconfig"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
		helpFlag(),
	}
}

func helpFlag() cli.Flag {
	return &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help"}
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
