package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func testProgram(out, errOut io.Writer) *program {
	return &program{IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut}, warnings: newWarnings(errOut)}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, given, ordered, err string }{
		{name: "flags first", given: "get -o wide pods", ordered: "get --output=wide -- pods"},
		{name: "flags behind arguments", given: "get pods -o wide", ordered: "get --output=wide -- pods"},
		{name: "flags between arguments", given: "get pods -o wide web", ordered: "get --output=wide -- pods web"},
		{name: "value attached to a short flag", given: "get pods -owide -lapp=web", ordered: "get --output=wide --selector=app=web -- pods"},
		{name: "value after =", given: "get pods -o=wide --selector=app=web", ordered: "get --output=wide --selector=app=web -- pods"},
		{name: "value with = and spaces", given: "get pods -l app=web", ordered: "get --selector=app=web -- pods"},
		{name: "joined short flags", given: "get pods -Aw", ordered: "get --all-namespaces=true --watch=true -- pods"},
		{name: "joined, the last with a value", given: "get pods -Ao name", ordered: "get --all-namespaces=true --output=name -- pods"},
		{name: "joined, the last with a value attached", given: "get pods -Aoname", ordered: "get --all-namespaces=true --output=name -- pods"},
		{name: "a boolean takes no word for its value", given: "get -w pods", ordered: "get --watch=true -- pods"},
		{name: "a boolean set to false", given: "rollout status deployment/web --watch=false", ordered: "rollout status --watch=false -- deployment/web"},
		{name: "repeated", given: "create -f a -f b", ordered: "create --filename=a --filename=b"},
		{name: "standard input", given: "apply -f -", ordered: "apply --filename=-"},
		{name: "a lone dash is an argument", given: "get -", ordered: "get -- -"},
		{name: "global flag behind the command", given: "get pods -n x", ordered: "--namespace=x get -- pods"},
		{name: "global flag before the command", given: "--name test get pods", ordered: "--name=test get -- pods"},
		{name: "command's flag before the command", given: "-o wide get pods", ordered: "get --output=wide -- pods"},
		{name: "flag between a command's words", given: "rollout --to-revision 1 undo deployment/web", ordered: "rollout undo --to-revision=1 -- deployment/web"},
		{name: "flag behind all", given: "rollout undo deployment/web --to-revision=1", ordered: "rollout undo --to-revision=1 -- deployment/web"},
		{name: "the same letter means another flag elsewhere", given: "logs -f web", ordered: "logs --follow=true -- web"},
		{name: "optional value left out", given: "delete pod web --cascade", ordered: "delete --cascade=background -- pod web"},
		{name: "optional value given", given: "delete pod web --cascade=orphan", ordered: "delete --cascade=orphan -- pod web"},
		{name: "negative number", given: "delete pod web --grace-period -1", ordered: "delete --grace-period=-1 -- pod web"},
		{name: "nothing is a flag behind --", given: "get pods -- -o wide", ordered: "get -- pods -o wide"},
		{name: "help of a command", given: "help rollout undo", ordered: "rollout undo --help=true"},
		{name: "help of the program", given: "help", ordered: "--help=true"},
		{name: "an argument called help", given: "get pods help", ordered: "get -- pods help"},
		{name: "a pair", given: "set image deployment/web web=web:2 --record", ordered: "set image --record=true -- deployment/web web=web:2"},
		{name: "unknown flag", given: "get pods --wide", err: "error: unknown flag: --wide\nSee 'skiff get --help' for usage."},
		{name: "unknown short flag", given: "get pods -x", err: "error: unknown shorthand flag: \"x\" in -x\nSee 'skiff get --help' for usage."},
		{name: "flag of another command", given: "get pods --replicas=1", err: "error: unknown flag: --replicas\nSee 'skiff get --help' for usage."},
		{name: "value missing", given: "get pods -o", err: "error: flag needs an argument: --output\nSee 'skiff get --help' for usage."},
		{name: "unknown command", given: "gett", err: "error: unknown command \"gett\" (did you mean \"get\"?)\nSee 'skiff --help' for usage."},
		{name: "unknown command of a group", given: "rollout undone x", err: "error: unknown command \"undone\" (did you mean \"undo\"?)\nSee 'skiff rollout --help' for usage."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := testProgram(io.Discard, io.Discard).app()
			a, err := split(app, append([]string{"skiff"}, strings.Fields(test.given)...))
			if err != nil {
				if err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if test.err != "" {
				t.Errorf("no error, want %s", test.err)
			}
			if diff := cmp.Diff("skiff "+test.ordered, strings.Join(a.ordered(), " ")); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
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
		a, err := split(testProgram(io.Discard, io.Discard).app(), append([]string{"/usr/local/bin/skiff"}, strings.Fields(given)...))
		if err != nil {
			t.Errorf("%s: %v", given, err)
		} else if got := a.cause(); got != want {
			t.Errorf("cause of %q is %q, want %q", given, got, want)
		}
	}
}

// TestHelp: every command explains itself, with examples.
func TestHelp(t *testing.T) {
	t.Parallel()
	var commands [][]string
	app := testProgram(io.Discard, io.Discard).app()
	for _, c := range app.Commands {
		commands = append(commands, []string{c.Name})
		for _, sub := range c.Subcommands {
			commands = append(commands, []string{c.Name, sub.Name})
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
