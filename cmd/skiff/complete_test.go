package main

import (
	"strings"
	"testing"
)

// Where no daemon runs, TAB offers nothing and says nothing of it.
func TestCompletionIsQuiet(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"get pods ", "logs ", "get deployment/", "exec web -c ", "get pods -n ", "cp "} {
		var out, errOut strings.Builder
		argv := append([]string{"skiff", "__complete", "--data-dir=" + t.TempDir()}, strings.Split(words, " ")...)
		code := run(t.Context(), argv, testProgram(&out, &errOut).IOStreams)
		if code != 0 || !strings.HasPrefix(out.String(), ":") || strings.Contains(errOut.String(), "not running") {
			t.Errorf("skiff %s<TAB>: code %d, %q, %q", words, code, out.String(), errOut.String())
		}
	}
}
