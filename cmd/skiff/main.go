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
	"slices"
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

func run(ctx context.Context, argv []string, streams genericiooptions.IOStreams) (code int) {
	p := &program{IOStreams: streams, warnings: newWarnings(streams.ErrOut)}
	app := p.app()
	if completing := len(argv) > 1 && argv[len(argv)-1] == "--generate-bash-completion"; !completing {
		var err error
		if p.args, err = split(app, argv); err != nil {
			return report(streams.ErrOut, err)
		}
		argv = p.args.ordered()
	}
	return report(streams.ErrOut, app.RunContext(ctx, argv))
}

func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "skiff",
		Usage: "Kubernetes Deployments on Docker, updated without losing a request",
		UsageText: `skiff up -d                    start skiff in the background
skiff apply -f web.yaml        create or update what a manifest describes
skiff get all                  see it
skiff set image deployment/web web=web:2
skiff rollout status deployment/web
skiff down                     stop it; what was created comes back with "skiff up"`,
		Description: `The commands are those of kubectl. They act on the instance that "skiff up"
started or, with --kubeconfig or --context, on any Kubernetes cluster.`,
		Flags:                 globalFlags(),
		Commands:              p.commands(),
		Writer:                p.Out,
		ErrWriter:             p.ErrOut,
		HideVersion:           true,
		EnableBashCompletion:  true,
		ExitErrHandler:        func(*cli.Context, error) {},
		CustomAppHelpTemplate: appHelp,
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return p.printVersion(c)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, command := range app.Commands {
		prepare(command, nil)
	}
	return app
}

func (p *program) commands() []*cli.Command {
	const instance, manifests, looking, rollouts, others = "the instance", "creating and changing", "looking", "updating", "more"
	var all []*cli.Command
	for _, group := range []struct {
		category string
		commands []*cli.Command
	}{
		{instance, []*cli.Command{p.up(), p.down(), p.status(), p.kubeconfig()}},
		{manifests, []*cli.Command{p.create(), p.apply(), p.edit(), p.delete()}},
		{looking, []*cli.Command{p.get(), p.describe(), p.logs()}},
		{rollouts, []*cli.Command{p.set(), p.rollout(), p.scale()}},
		{others, []*cli.Command{p.versionCommand(), p.completion()}},
	} {
		for _, command := range group.commands {
			command.Category = group.category
			all = append(all, command)
		}
	}
	return all
}

// prepare gives a command what all have in common.
func prepare(command *cli.Command, parents []string) {
	path := append(slices.Clone(parents), command.Name)
	// The flag parser's own "help" subcommand would take a Pod called help, or h.
	command.HideHelpCommand = true
	command.CustomHelpTemplate = commandHelp
	command.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return usageError{command: path, message: err.Error()}
	}
	if len(command.Subcommands) > 0 && command.Action == nil {
		command.Action = func(c *cli.Context) error {
			_ = cli.ShowSubcommandHelp(c)
			return usageError{command: path, message: "a command is missing"}
		}
	}
	for _, sub := range command.Subcommands {
		prepare(sub, path)
	}
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Value: defaultName, EnvVars: []string{"SKIFF_NAME"}, Usage: "`INSTANCE` to act on; instances live side by side"},
		&cli.StringFlag{Name: "data-dir", EnvVars: []string{"SKIFF_DATA_DIR"}, Usage: "`DIRECTORY` of the instance's state (default: $XDG_DATA_HOME/skiff/INSTANCE or ~/.local/share/skiff/INSTANCE)"},
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "`NAMESPACE` to act in"},
		&cli.StringFlag{Name: "kubeconfig", Usage: "act on the cluster of this kubeconfig `FILE` instead of the instance"},
		&cli.StringFlag{Name: "context", Usage: "act on the cluster of this `CONTEXT` of the kubeconfig"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
	}
}

// connect finds the API that the command is to act on.
func (p *program) connect(c *cli.Context) (*connection, error) {
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
func dataDir(c *cli.Context) (name, dir string, err error) {
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
