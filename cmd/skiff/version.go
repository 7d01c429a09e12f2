package main

import (
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// release is set by the linker.
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version of this program and of the Kubernetes API it speaks",
		UsageText: examples("skiff version"),
		Action:    p.printVersion,
	}
}

func (p *program) printVersion(*cli.Context) error {
	printf(p.Out, "skiff %s\n", version())
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
