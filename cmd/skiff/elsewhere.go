package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("%s is a command of kubectl's, not of skiff's: kubectl --context skiff %[1]s (after \"skiff kubeconfig --merge\")", name)
		},
	}
}
