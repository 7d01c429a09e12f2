package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker.
var release string

func releaseName() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func (p *program) version() *cobra.Command {
	return spec{
		name:     "version",
		short:    "print the version of this program and of the Kubernetes API it speaks",
		examples: examples("skiff version"),
		run:      p.printVersion,
	}.command()
}

func (p *program) printVersion(*call) error {
	printf(p.Out, "skiff %s\n", releaseName())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/api" {
				printf(p.Out, "Kubernetes API %s (k8s.io/api)\n", module.Version)
			}
		}
		printf(p.Out, "%s\n", info.GoVersion)
	}
	return nil
}
