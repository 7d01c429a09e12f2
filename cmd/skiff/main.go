// Command skiff runs Kubernetes Deployments on the local Docker Engine: "skiff
// up" is the server, everything else is a client of its API.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := run(ctx, os.Args, streams)
	stop()
	os.Exit(code)
}

// program is what every command has at hand.
type program struct {
	genericiooptions.IOStreams
	args     arguments
	warnings *warnings
}

// run is the whole program: argv[0] is its name, the result its exit code.
func run(ctx context.Context, argv []string, streams genericiooptions.IOStreams) (code int) {
	p := &program{IOStreams: streams, warnings: newWarnings(streams.ErrOut)}
	app := p.app()
	if completing := argv[len(argv)-1] == "--generate-bash-completion"; !completing {
		var err error
		if p.args, err = split(app, argv); err != nil {
			return report(streams.ErrOut, err)
		}
		argv = p.args.ordered()
	}
	return report(streams.ErrOut, app.RunContext(ctx, argv))
}

func (p *program) app() *cli.App {
	groups := p.groups()
	var commands []*cli.Command
	for _, g := range groups {
		commands = append(commands, g.commands...)
	}
	return &cli.App{
		Name:  "skiff",
		Usage: "Kubernetes Deployments on Docker, updated without losing a request",
		Description: `skiff runs Kubernetes Deployments on Docker and updates them without losing a
request. The commands are those of kubectl. They act on the instance that "skiff
up" started or, with --kubeconfig or --context, on any Kubernetes cluster.`,
		UsageText: examples(
			"skiff up -d                      start skiff in the background",
			"skiff apply -f web.yaml          create or update what a manifest describes",
			"skiff get all                    see it",
			"skiff set image deployment/web web=web:2",
			"skiff rollout status deployment/web",
			"skiff down                       stop it; what was created comes back with \"skiff up\""),
		Flags:                 globalFlags(),
		Commands:              commands,
		Writer:                p.Out,
		ErrWriter:             p.ErrOut,
		HideVersion:           true,
		EnableBashCompletion:  true,
		ExitErrHandler:        func(*cli.Context, error) {},
		CustomAppHelpTemplate: fmt.Sprintf(appHelp, listGroups(groups)),
		HideHelp:              true,
		HideHelpCommand:       true,
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return p.printVersion(newCall(c))
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// group is commands that help lists together.
type group struct {
	title    string
	commands []*cli.Command
}

func (p *program) groups() []group {
	return []group{
		{"The instance", []*cli.Command{p.up(), p.down(), p.status(), p.kubeconfig()}},
		{"Create and change", []*cli.Command{p.create(), p.apply(), p.edit(), p.delete()}},
		{"Look", []*cli.Command{p.get(), p.describe(), p.logs()}},
		{"Update", []*cli.Command{p.set(), p.rollout(), p.scale()}},
		{"More", []*cli.Command{p.version(), p.completion()}},
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
	if pid, err := at.running(); err != nil {
		return nil, err
	} else if pid == 0 {
		return nil, errNotRunning
	}
	return toInstance(at.kubeconfig(), namespace, p.warnings)
}

// dataDir is where the instance called name keeps its state.
func dataDir(c *call) (name, dir string, err error) {
	name = c.String("name")
	if bad := validation.IsDNS1123Label(name); len(bad) > 0 {
		return "", "", usageError{message: fmt.Sprintf("invalid instance name %q: %s", name, strings.Join(bad, "; "))}
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

func printf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}
