package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) completion() *cobra.Command {
	return spec{
		name:  "completion",
		short: "print the completion script of a shell",
		args:  "bash | zsh | fish",
		long:  "That of bash uses the functions of the package bash-completion.",
		examples: examples(
			"source <(skiff completion bash)",
			"skiff completion fish > ~/.config/fish/completions/skiff.fish"),
		run: func(c *call) error {
			if len(c.args) != 1 {
				return c.usage("a shell is missing: bash, zsh or fish")
			}
			app := c.command.Root()
			switch shell := c.args[0]; shell {
			case "bash":
				return app.GenBashCompletionV2(p.Out, true)
			case "zsh":
				return app.GenZshCompletion(p.Out)
			case "fish":
				return app.GenFishCompletion(p.Out, true)
			default:
				return c.usage(fmt.Sprintf("no completion for %q: bash, zsh and fish have one", shell))
			}
		},
	}.command()
}
