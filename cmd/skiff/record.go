package main

import (
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// recorder writes the command line to objects if --record asks for it.
func (p *program) recorder(c *call) (genericclioptions.Recorder, error) {
	if c.IsSet("record") {
		printf(p.ErrOut, "Flag --record has been deprecated, --record will be removed in the future\n")
	}
	record := c.Bool("record")
	flags := &genericclioptions.RecordFlags{Record: &record}
	if err := flags.CompleteWithChangeCause(p.args.cause()); err != nil {
		return nil, err
	}
	return flags.ToRecorder()
}
