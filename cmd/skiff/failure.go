package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/exec"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"skiff/orchestrator/manifest"
)

// errReported ends the program with exit code 1; the user has been told why.
var errReported = errors.New("already reported")

// notRunning is what a command says that needs the daemon of this instance.
type notRunning string

func (instance notRunning) Error() string {
	return fmt.Sprintf("skiff is not running: start it with \"%s up -d\"", skiffFor(string(instance)))
}

// usageError is a command line that cannot be understood.
type usageError struct {
	command string // its words, with the program's
	message string
}

func (e usageError) Error() string {
	return fmt.Sprintf("error: %s\nSee '%s --help' for usage.", e.message, e.command)
}

// wanted is what flags of a type take, in words.
var wanted = map[string]string{
	"bool":     "true or false",
	"duration": "a duration such as 30s or 5m",
	"int64":    "a whole number",
}

// flagProblem says what is wrong with a flag, and what would not be.
func flagProblem(err error) string {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		if want := wanted[invalid.GetFlag().Value.Type()]; want != "" {
			return fmt.Sprintf("--%s %s: expected %s", invalid.GetFlag().Name, invalid.GetValue(), want)
		}
	}
	return err.Error()
}

// report tells the user about an error in kubectl's words and gives the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var remote exec.ExitError
	if errors.As(err, &remote) { // of a command in a container: its exit code is ours
		fmt.Fprintln(w, remote)
		return remote.ExitStatus()
	}
	var many utilerrors.Aggregate
	if errors.As(err, &many) {
		all := utilerrors.Flatten(many).Errors()
		if len(all) > 0 && clientcmd.IsContextNotFound(all[0]) {
			all = all[:1] // that there is no cluster either follows from it
		}
		for _, one := range all {
			report(w, one)
		}
		return 1
	}
	if text := describeError(err); text != "" {
		fmt.Fprintln(w, text)
	}
	return 1
}

func describeError(err error) string {
	var down notRunning
	var usage usageError
	var inManifest manifest.Errors
	var status *apierrors.StatusError
	switch {
	case errors.Is(err, errReported):
		return ""
	case errors.As(err, &down):
		return down.Error()
	case errors.As(err, &usage):
		return usage.Error()
	case errors.As(err, &inManifest):
		return inManifest.Error()
	case errors.As(err, &status) && status.ErrStatus.Reason == metav1.StatusReasonInvalid:
		return strings.TrimSuffix(invalid(status), "\n")
	}
	// Wrapped as well as bare, a server's answer is told as kubectl tells it.
	if status != nil {
		err = status
	}
	if text, ok := cmdutil.StandardErrorMessage(err); ok {
		return text
	}
	if text := err.Error(); strings.HasPrefix(text, "error: ") {
		return strings.TrimSuffix(text, "\n")
	}
	return "error: " + err.Error()
}

func invalid(err *apierrors.StatusError) string {
	details := err.ErrStatus.Details
	if details == nil {
		return "The request is invalid: " + err.ErrStatus.Message
	}
	prefix := fmt.Sprintf("The %s %q is invalid", details.Kind, details.Name)
	if len(details.Causes) == 0 {
		return prefix
	}
	var causes []error
	seen := map[string]bool{}
	for _, c := range details.Causes {
		if text := c.Field + ": " + c.Message; !seen[text] {
			seen[text] = true
			causes = append(causes, errors.New(text))
		}
	}
	return cmdutil.MultilineError(prefix+": ", utilerrors.NewAggregate(causes))
}
