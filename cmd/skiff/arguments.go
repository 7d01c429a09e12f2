package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arguments is a command line taken apart. People who come from kubectl write
// flags wherever they like (skiff get pods -o wide), while the flag parser of the
// standard library stops at the first word that is none.
type arguments struct {
	program  string
	path     []string // the command's words: rollout, undo
	flags    []flagValue
	operands []string
}

// flagValue is one flag as it was given; name is its long form. Global flags are
// those of the program, not of the command.
type flagValue struct {
	name, value string
	global      bool
}

// optionalValue are the flags that may stand without a value, and what they mean
// then. Only = gives them another.
var optionalValue = map[string]string{"cascade": "background"}

// split reads argv as the app's flags and commands.
func split(app *cli.App, argv []string) (arguments, error) {
	a := arguments{program: filepath.Base(argv[0])}
	level := app.Commands
	var command *cli.Command
	for rest := argv[1:]; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		switch {
		case word == "--":
			a.operands = append(a.operands, rest...)
			return a, nil
		case len(word) > 1 && word[0] == '-':
			var err error
			if rest, err = a.flag(app, command, word, rest); err != nil {
				return a, usageError{command: a.command(), message: err.Error()}
			}
		case len(level) > 0:
			next := find(level, word)
			if next == nil && len(a.path) == 0 && word == "help" {
				rest = append(slices.Clone(rest), "--help")
				continue
			}
			if next == nil {
				return a, unknownCommand(a.command(), word, level)
			}
			command, level = next, next.Subcommands
			a.path = append(a.path, next.Name)
		default:
			a.operands = append(a.operands, word)
		}
	}
	return a, nil
}

func find(commands []*cli.Command, word string) *cli.Command {
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
	if i < 0 {
		return nil
	}
	return commands[i]
}

func unknownCommand(path, word string, known []*cli.Command) error {
	message := fmt.Sprintf("unknown command %q", word)
	for _, c := range known {
		if len(word) > 1 && (strings.HasPrefix(c.Name, word) || strings.HasPrefix(word, c.Name)) {
			message += fmt.Sprintf(" (did you mean %q?)", c.Name)
			break
		}
	}
	return usageError{command: path, message: message}
}

// flag reads the flags in one word: a long one, or one or more short ones, the
// last of which may have its value attached (-owide).
func (a *arguments) flag(app *cli.App, command *cli.Command, word string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if strings.HasPrefix(word, "--") {
		f, global := lookup(app, command, name)
		if f == nil || name == "" || len(name) == 1 {
			return nil, fmt.Errorf("unknown flag: --%s", name)
		}
		return a.add(f, global, value, hasValue, rest)
	}
	for shorts := word[1:]; shorts != ""; {
		f, global := lookup(app, command, shorts[:1])
		if f == nil {
			return nil, fmt.Errorf("unknown shorthand flag: %q in %s", shorts[:1], word)
		}
		attached := strings.TrimPrefix(shorts[1:], "=")
		switch {
		case attached == "":
			return a.add(f, global, "", len(shorts) == 2, rest)
		case takesValue(f), shorts[1] == '=':
			return a.add(f, global, attached, true, rest)
		}
		if _, err := a.add(f, global, "", false, nil); err != nil {
			return nil, err
		}
		shorts = shorts[1:]
	}
	return rest, nil
}

// add notes a flag, with the next of the remaining words as its value if it
// needs one and has none.
func (a *arguments) add(f cli.Flag, global bool, value string, hasValue bool, rest []string) ([]string, error) {
	name := f.Names()[0]
	if !hasValue {
		assumed, optional := optionalValue[name]
		switch {
		case optional:
			value = assumed
		case !takesValue(f):
			value = "true"
		case len(rest) == 0:
			return nil, fmt.Errorf("flag needs an argument: --%s", name)
		default:
			value, rest = rest[0], rest[1:]
		}
	}
	a.flags = append(a.flags, flagValue{name, value, global})
	return rest, nil
}

// lookup finds a flag among the command's and the global ones; before the
// command is known, among those of all commands.
func lookup(app *cli.App, command *cli.Command, name string) (f cli.Flag, global bool) {
	if f := named(app.Flags, name); f != nil && (command == nil || named(command.Flags, name) == nil) {
		return f, true
	}
	if command != nil && len(command.Subcommands) == 0 {
		return named(command.Flags, name), false
	}
	commands := app.Commands
	if command != nil {
		commands = command.Subcommands
	}
	for _, c := range commands {
		if f := named(c.Flags, name); f != nil {
			return f, false
		}
		for _, sub := range c.Subcommands {
			if f := named(sub.Flags, name); f != nil {
				return f, false
			}
		}
	}
	return nil, false
}

func named(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	documented, ok := f.(cli.DocGenerationFlag)
	return ok && documented.TakesValue()
}

// command is the words that name the command, with the program's in front.
func (a arguments) command() string {
	return strings.Join(append([]string{"skiff"}, a.path...), " ")
}

// ordered is the command line in the order that the flag parser wants.
func (a arguments) ordered() []string {
	words := append([]string{a.program}, a.given(true)...)
	words = append(words, a.path...)
	words = append(words, a.given(false)...)
	if len(a.operands) > 0 {
		words = append(words, "--")
	}
	return append(words, a.operands...)
}

func (a arguments) given(global bool) []string {
	var words []string
	for _, f := range a.flags {
		if f.global == global {
			words = append(words, "--"+f.name+"="+f.value)
		}
	}
	return words
}

// cause is the command line as kubectl writes it down with --record.
func (a arguments) cause() string {
	words := append([]string{a.program}, a.path...)
	words = append(words, a.operands...)
	for _, f := range a.flags {
		words = append(words, "--"+f.name+"="+f.value)
	}
	return strings.Join(words, " ")
}
