// Command skiff runs Kubernetes Deployments on the local Docker Engine: "skiff
// up" is the server, everything else is a client of its API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
)

func main() {
	// One processor more than there are, for the scheduler: the proxy's reactors
	// wait in the kernel, and where all are in use each of them loses its own for
	// that. The price is that Go does not follow a changed CPU quota any more.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if inside, code := runInside(ctx, os.Args, os.Stderr); inside {
		stop()
		os.Exit(code)
	}
	// What Kubernetes' packages log is for who runs a daemon; see serve.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := run(ctx, os.Args, streams)
	stop()
	os.Exit(code)
}

// codeInterrupted is what shells give a command that Ctrl-C has ended. Whoever
// presses it need not be told.
const codeInterrupted = 130

// program is what every command has at hand.
type program struct {
	genericiooptions.IOStreams
	argv     []string
	warnings *warnings
}

// run is the whole program: argv[0] is its name, the result its exit code.
func run(ctx context.Context, argv []string, streams genericiooptions.IOStreams) (code int) {
	p := &program{IOStreams: streams, argv: argv, warnings: newWarnings(streams.ErrOut)}
	app := p.app()
	if err := p.complete(app); err != nil {
		return report(streams.ErrOut, err)
	}
	app.SetArgs(argv[1:])
	err := app.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return codeInterrupted
	}
	return report(streams.ErrOut, err)
}

func (p *program) app() *cobra.Command {
	app := &cobra.Command{
		Use: "skiff",
		Long: `skiff runs Kubernetes Deployments on Docker and updates them without losing a
request. The commands are those of kubectl. They act on the instance that "skiff
up" started or, with --kubeconfig or --context, on any Kubernetes cluster.

What is not here (label, patch, run, expose, wait …), kubectl does: after "skiff
kubeconfig --merge" as "kubectl --context skiff COMMAND".`,
		Example: examples(
			"skiff up -d                      start skiff in the background",
			"skiff apply -f web.yaml          create or update what a manifest describes",
			"skiff get all                    see it",
			"skiff set image deployment/web web=web:2",
			"skiff rollout status deployment/web",
			"skiff down                       stop it; what was created comes back with \"skiff up\""),
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(c *cobra.Command, args []string) error {
			if version, _ := c.Flags().GetBool("version"); version {
				return p.printVersion(newCall(c, args))
			}
			return c.Help()
		},
	}
	app.SetIn(p.In)
	app.SetOut(p.Out)
	app.SetErr(p.ErrOut)
	app.SetHelpFunc(p.help)
	app.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{command: c.CommandPath(), message: flagProblem(err)}
	})
	app.Flags().SortFlags = false
	app.PersistentFlags().SortFlags = false
	globalFlags(&flags{app.PersistentFlags()})
	app.Flags().Bool("version", false, "print the version")
	p.addCommands(app)
	return app
}

func init() {
	// A global of the library. Help lists commands in the order of their use.
	cobra.EnableCommandSorting = false
}

// addCommands adds the commands in the groups in which help lists them.
func (p *program) addCommands(app *cobra.Command) {
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"The instance", []*cobra.Command{p.up(), p.upgrade(), p.down(), p.status(), p.kubeconfig(), p.trust()}},
		{"Create and change", []*cobra.Command{p.check(), p.create(), p.apply(), p.edit(), p.delete()}},
		{"Look", []*cobra.Command{p.get(), p.describe(), p.logs(), p.url(), p.open()}},
		{"Talk to Pods", []*cobra.Command{p.exec(), p.attach(), p.portForward(), p.cp()}},
		{"Update", []*cobra.Command{p.set(), p.rollout(), p.scale()}},
		{"More", []*cobra.Command{p.version(), p.completion()}},
	} {
		app.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			app.AddCommand(c)
		}
	}
	for _, name := range ofKubectl {
		app.AddCommand(elsewhere(name))
	}
}

// connect finds the API that the command is to act on.
func (p *program) connect(c *call) (*connection, error) {
	namespace := c.String("namespace")
	if c.IsSet("kubeconfig") || c.IsSet("context") {
		return toCluster(c.String("kubeconfig"), c.String("context"), namespace, p.warnings), nil
	}
	at, err := locate(c)
	if err != nil {
		return nil, err
	}
	if _, err := at.process(); err != nil {
		return nil, err
	}
	return toInstance(at, namespace, p.warnings)
}

// dataDir is where the instance called name keeps its state.
func dataDir(c *call) (name, dir string, err error) {
	name = c.String("name")
	if bad := validation.IsDNS1123Label(name); len(bad) > 0 {
		return "", "", c.usage(fmt.Sprintf("invalid instance name %q: %s", name, strings.Join(bad, "; ")))
	}
	if dir = c.String("data-dir"); dir == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if !filepath.IsAbs(base) {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", "", fmt.Errorf("find the data directory (--data-dir names one): %w", err)
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "skiff", name)
	}
	dir, err = filepath.Abs(dir)
	return name, dir, err
}

// skiffFor is how a user begins a command for an instance.
func skiffFor(instance string) string {
	if instance == defaultName {
		return "skiff"
	}
	return "skiff --name " + instance
}

func printf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}
