package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// recorder writes the command line to objects if --record asks for it.
func (p *program) recorder(c *call) (genericclioptions.Recorder, error) {
	if c.IsSet("record") {
		printf(p.ErrOut, "Flag --record has been deprecated, --record will be removed in the future\n")
	}
	record := c.Bool("record")
	flags := &genericclioptions.RecordFlags{Record: &record}
	text, err := cause(c.command, c.args, p.argv)
	if err != nil {
		return nil, err
	}
	if err := flags.CompleteWithChangeCause(text); err != nil {
		return nil, err
	}
	return flags.ToRecorder()
}

// cause is the command line as kubectl writes it down with --record.
func cause(command *cobra.Command, args, argv []string) (string, error) {
	path := strings.Fields(command.CommandPath())[1:]
	words := append([]string{filepath.Base(argv[0])}, append(path, args...)...)
	err := command.Flags().ParseAll(argv[1:], func(flag *pflag.Flag, value string) error {
		words = append(words, "--"+flag.Name+"="+value)
		return nil
	})
	return strings.Join(words, " "), err
}
