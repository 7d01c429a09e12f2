package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (p *program) completion() *cli.Command {
	return spec{
		name:  "completion",
		short: "print the completion script of a shell",
		args:  "bash | zsh | fish",
		examples: examples(
			"source <(skiff completion bash)",
			"skiff completion fish > ~/.config/fish/completions/skiff.fish"),
		run: func(c *call) error {
			if len(c.args) != 1 {
				return c.usage("a shell is missing: bash, zsh or fish")
			}
			switch shell := c.args[0]; shell {
			case "bash":
				printf(p.Out, "%s", bashCompletion)
			case "zsh":
				printf(p.Out, "%s", zshCompletion)
			case "fish":
				script, err := c.App.ToFishCompletion()
				if err != nil {
					return fmt.Errorf("write completion for fish: %w", err)
				}
				printf(p.Out, "%s", script)
			default:
				return c.usage(fmt.Sprintf("no completion for %q: bash, zsh and fish have one", shell))
			}
			return nil
		},
	}.command()
}

// Both ask the program itself what may come next: the word so far is only passed
// on if it begins a flag, as the program would take it for an argument.

const bashCompletion = `_skiff_complete() {
  local current="${COMP_WORDS[COMP_CWORD]}"
  local words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  [[ "$current" == -* ]] && words+=("$current")
  COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$current"))
}
complete -o bashdefault -o default -F _skiff_complete skiff
`

const zshCompletion = `#compdef skiff
_skiff() {
  local current="${words[CURRENT]}"
  local -a asked options
  asked=("${words[@]:0:$((CURRENT-1))}")
  [[ "$current" == -* ]] && asked+=("$current")
  options=("${(@f)$(_CLI_ZSH_AUTOCOMPLETE_HACK=1 "${asked[@]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n "$options[1]" ]]; then
    _describe 'skiff' options
  else
    _files
  fi
}
compdef _skiff skiff
`
