package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func testProgram(out, errOut io.Writer) *program {
	return &program{IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut}, warnings: newWarnings(errOut)}
}

// TestFlagsAnywhere: people who come from kubectl write flags wherever they like.
func TestFlagsAnywhere(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, given, understood, err string }{
		{name: "flags first", given: "get -o wide pods", understood: "get --output=wide -- pods"},
		{name: "flags behind arguments", given: "get pods -o wide", understood: "get --output=wide -- pods"},
		{name: "flags between arguments", given: "get pods -o wide web", understood: "get --output=wide -- pods web"},
		{name: "value attached to a short flag", given: "get pods -owide -lapp=web", understood: "get --output=wide --selector=app=web -- pods"},
		{name: "value after =", given: "get pods -o=wide --selector=app=web", understood: "get --output=wide --selector=app=web -- pods"},
		{name: "value with = and spaces", given: "get pods -l app=web", understood: "get --selector=app=web -- pods"},
		{name: "joined short flags", given: "get pods -Aw", understood: "get --all-namespaces=true --watch=true -- pods"},
		{name: "joined, the last with a value", given: "get pods -Ao name", understood: "get --all-namespaces=true --output=name -- pods"},
		{name: "joined, the last with a value attached", given: "get pods -Aoname", understood: "get --all-namespaces=true --output=name -- pods"},
		{name: "a boolean takes no word for its value", given: "get -w pods", understood: "get --watch=true -- pods"},
		{name: "a boolean set to false", given: "rollout status deployment/web --watch=false", understood: "rollout status --watch=false -- deployment/web"},
		{name: "repeated", given: "create -f a -f b", understood: "create --filename=[a,b]"},
		{name: "standard input", given: "apply -f -", understood: "apply --filename=[-]"},
		{name: "a lone dash is an argument", given: "get -", understood: "get -- -"},
		{name: "global flag behind the command", given: "get pods -n x", understood: "get --namespace=x -- pods"},
		{name: "global flag before the command", given: "--name test get pods", understood: "get --name=test -- pods"},
		{name: "command's flag before the command", given: "-o wide get pods", understood: "get --output=wide -- pods"},
		{name: "flag between a command's words", given: "rollout --to-revision 1 undo deployment/web", understood: "rollout undo --to-revision=1 -- deployment/web"},
		{name: "flag behind all", given: "rollout undo deployment/web --to-revision=1", understood: "rollout undo --to-revision=1 -- deployment/web"},
		{name: "the same letter means another flag elsewhere", given: "logs -f web", understood: "logs --follow=true -- web"},
		{name: "optional value left out", given: "delete pod web --cascade", understood: "delete --cascade=background -- pod web"},
		{name: "optional value given", given: "delete pod web --cascade=orphan", understood: "delete --cascade=orphan -- pod web"},
		{name: "negative number", given: "delete pod web --grace-period -1", understood: "delete --grace-period=-1 -- pod web"},
		{name: "nothing is a flag behind --", given: "get pods -- -o wide", understood: "get -- pods -o wide"},
		{name: "an argument called help", given: "get pods help", understood: "get -- pods help"},
		{name: "a pair", given: "set image deployment/web web=web:2 --record", understood: "set image --record=true -- deployment/web web=web:2"},
		{name: "unknown flag", given: "get pods --wide", err: "error: unknown flag: --wide\nSee 'skiff get --help' for usage."},
		{name: "unknown short flag", given: "get pods -x", err: "error: unknown shorthand flag: 'x' in -x\nSee 'skiff get --help' for usage."},
		{name: "flag of another command", given: "get pods --replicas=1", err: "error: unknown flag: --replicas\nSee 'skiff get --help' for usage."},
		{name: "value missing", given: "get pods -o", err: "error: flag needs an argument: 'o' in -o\nSee 'skiff get --help' for usage."},
		{name: "a word too many", given: "down test --purge", err: "error: unexpected argument \"test\"\nSee 'skiff down --help' for usage."},
		{name: "a file without its flag", given: "apply web.yaml", err: "error: unexpected argument \"web.yaml\"\nSee 'skiff apply --help' for usage."},
		{name: "unknown command", given: "gett", err: "error: unknown command \"gett\" for \"skiff\"\n\nDid you mean this?\n\tget\n\tset\n"},
		{name: "command of kubectl's", given: "wait --for=condition=Ready pod/web",
			err: "error: wait is a command of kubectl's, not of skiff's: kubectl --context skiff wait (after \"skiff kubeconfig --merge\")"},
		{name: "command of kubectl's for another instance", given: "--name test wait pod/web --for condition=Ready",
			err: "error: wait is a command of kubectl's, not of skiff's: kubectl --context skiff-test wait (after \"skiff --name test kubeconfig --merge\")"},
		{name: "unknown command of a group", given: "rollout undone x", err: "error: unknown command \"undone\" for \"skiff rollout\" (did you mean \"undo\"?)\nSee 'skiff rollout --help' for usage."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var errOut strings.Builder
			words := strings.Fields(test.given)
			if test.err != "" {
				code := run(t.Context(), append([]string{"skiff"}, words...), testProgram(io.Discard, &errOut).IOStreams)
				if diff := cmp.Diff(test.err+"\n", errOut.String()); code != 1 || diff != "" {
					t.Errorf("code %d, error (-want +got):\n%s", code, diff)
				}
				return
			}
			command, rest, err := testProgram(io.Discard, io.Discard).app().Find(words)
			if err == nil {
				err = command.ParseFlags(rest)
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []string{command.CommandPath()}
			command.Flags().Visit(func(f *pflag.Flag) { got = append(got, "--"+f.Name+"="+f.Value.String()) })
			if args := command.Flags().Args(); len(args) > 0 {
				got = append(append(got, "--"), args...)
			}
			if diff := cmp.Diff("skiff "+test.understood, strings.Join(got, " ")); diff != "" {
				t.Errorf("understood (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCause(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"create -f deploy/go-demo-2-db.yml --record":                 "skiff create --filename=deploy/go-demo-2-db.yml --record=true",
		"set image -f deploy/go-demo-2-db.yml db=mongo:3.5 --record": "skiff set image db=mongo:3.5 --filename=deploy/go-demo-2-db.yml --record=true",
		"-n x scale deployment/web --replicas 3 --record":            "skiff scale deployment/web --namespace=x --replicas=3 --record=true",
	} {
		words := strings.Fields(given)
		command, rest, err := testProgram(io.Discard, io.Discard).app().Find(words)
		if err == nil {
			err = command.ParseFlags(rest)
		}
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		got, err := cause(command, command.Flags().Args(), append([]string{"/usr/local/bin/skiff"}, words...))
		if err != nil || got != want {
			t.Errorf("cause of %q is %q, want %q (%v)", given, got, want, err)
		}
	}
}

// TestHelp: every command explains itself, with examples.
func TestHelp(t *testing.T) {
	t.Parallel()
	var commands [][]string
	own := testProgram(io.Discard, io.Discard).app().Commands()
	own = slices.DeleteFunc(own, func(c *cobra.Command) bool { return slices.Contains(ofKubectl, c.Name()) })
	for _, c := range own {
		commands = append(commands, []string{c.Name()})
		for _, sub := range c.Commands() {
			commands = append(commands, []string{c.Name(), sub.Name()})
		}
	}
	var all strings.Builder
	run(t.Context(), []string{"skiff", "--help"}, testProgram(&all, io.Discard).IOStreams)
	for _, c := range own {
		if line := fmt.Sprintf("\n   %-12s %s\n", c.Name(), c.Short); len(c.Name()) > 12 || !strings.Contains(all.String(), line) {
			t.Errorf("the list of commands is without %q:\n%s", line, all.String())
		}
	}
	for _, path := range commands {
		var out, errOut strings.Builder
		p := testProgram(&out, &errOut)
		code := run(t.Context(), append(append([]string{"skiff"}, path...), "--help"), p.IOStreams)
		text := out.String()
		if code != 0 || errOut.Len() > 0 || !strings.HasPrefix(text, "skiff "+strings.Join(path, " ")+": ") {
			t.Errorf("help of %v: code %d, %s%s", path, code, text, errOut.String())
		}
		if !strings.Contains(text, "Examples:") && !strings.Contains(text, "Commands:") {
			t.Errorf("help of %v has no examples:\n%s", path, text)
		}
	}
}
