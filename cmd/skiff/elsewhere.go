package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"skiff/orchestrator"
)

// ofKubectl are the commands that skiff does not have.
var ofKubectl = []string{
	"annotate", "api-resources", "api-versions", "auth", "autoscale", "certificate", "cluster-info", "config", "cordon", "debug", "diff",
	"drain", "events", "explain", "expose", "kustomize", "label", "patch", "proxy", "replace", "run", "taint", "top", "uncordon", "wait",
}

// elsewhere has whoever tries such a command told where it is.
func elsewhere(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			instance := instanceIn(args)
			return fmt.Errorf("%[1]s is a command of kubectl's, not of skiff's: kubectl --context %[2]s %[1]s (after \"%[3]s kubeconfig --merge\")",
				name, orchestrator.ContextName(instance), skiffFor(instance))
		},
	}
}

// instanceIn is the instance that a command line with flags of kubectl's is about.
func instanceIn(args []string) string {
	known := pflag.NewFlagSet("", pflag.ContinueOnError)
	known.ParseErrorsAllowlist.UnknownFlags = true
	globalFlags(&flags{known})
	_ = known.Parse(args) // for what precedes a mistake; kubectl will tell of it
	name, _ := known.GetString("name")
	return name
}
