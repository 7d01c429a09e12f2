package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/orchestrator"
	"skiff/orchestrator/skifftest"
)

// patience bounds every wait; it is far above what anything takes, so that a
// busy machine fails no test.
const patience = 2 * time.Minute

// instance is a skiff of a test's own, used as a person uses it: by commands.
type instance struct {
	name, dir string
	work      string // where commands run; deploy/ is as in the seed document
	env       []string

	within []string                                                             // what a command is run by; empty: as it is
	engine string                                                               // the engine's address; empty: the user's
	dial   func(ctx context.Context, network, address string) (net.Conn, error) // how the API is reached; nil: as usual
}

// newInstance prepares an instance that does not run yet. When the test ends it
// is purged, and the engine must have nothing left of it.
func newInstance(t *testing.T) *instance {
	t.Helper()
	needImages(t)
	home := t.TempDir()
	i := &instance{
		name: "e2e-" + strings.ToLower(rand.Text()[:10]),
		dir:  filepath.Join(home, "data"),
		work: filepath.Join(home, "work"),
	}
	i.env = append(environment(home, i), "SKIFF_GATEWAY_PROGRAM="+skifftest.GatewayProgram(t))
	mongo, err := filepath.Abs("../../examples/mongo")
	if err := errors.Join(err, os.Mkdir(i.work, 0o755), os.Symlink(mongo, filepath.Join(i.work, "deploy"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.remove(t) })
	return i
}

// start gives an instance that runs.
func start(t *testing.T) *instance {
	t.Helper()
	i := newInstance(t)
	i.up(t)
	return i
}

// environment is what the instance's commands see: nothing of the user's but
// the way to the engine.
func environment(home string, i *instance) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "SKIFF_") || strings.HasPrefix(v, "XDG_") ||
			strings.HasPrefix(v, "KUBE") || strings.HasPrefix(v, "EDITOR=")
	})
	if os.Getenv("DOCKER_CONFIG") == "" {
		env = append(env, "DOCKER_CONFIG="+filepath.Join(os.Getenv("HOME"), ".docker"))
	}
	// The race detector would have every process wait a second before it exits.
	return append(env, "HOME="+home, "SKIFF_TEST_ACT_AS_SKIFF=1", "GORACE=atexit_sleep_ms=0",
		"SKIFF_NAME="+i.name, "SKIFF_DATA_DIR="+i.dir,
		"KUBECONFIG="+i.paths().Kubeconfig, "KUBECACHEDIR="+filepath.Join(home, "cache"))
}

func (i *instance) paths() orchestrator.Paths { return orchestrator.PathsIn(i.dir) }

// result is what a command left.
type result struct {
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.code, r.out, r.err)
}

// skiff prepares a process of the program under test.
func (i *instance) skiff(ctx context.Context, args ...string) *exec.Cmd {
	line := append(append(slices.Clone(i.within), os.Args[0]), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	if len(i.within) == 0 {
		cmd.Args[0] = "skiff"
	}
	cmd.Dir, cmd.Env = i.work, i.env
	return cmd
}

// kubectl prepares a process of the real one.
func (i *instance) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, kubectlPath, args...)
	cmd.Args[0] = "kubectl"
	cmd.Dir, cmd.Env = i.work, i.env
	return cmd
}

var kubectlPath = func() string {
	path, err := filepath.Abs("../../bin/kubectl")
	if err != nil {
		panic(err)
	}
	return path
}()

func needKubectl(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(kubectlPath); err != nil {
		t.Fatalf("%v: run \"make kubectl\" first", err)
	}
}

// finish runs a command to its end.
func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %v: %v", cmd.Args, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

type tool func(context.Context, ...string) *exec.Cmd

// try runs a command and gives what came of it.
func try(t testing.TB, do tool, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	return finish(t, do(ctx, args...))
}

// must runs a command that has to succeed and gives its output.
func must(t testing.TB, do tool, args ...string) string {
	t.Helper()
	r := try(t, do, args...)
	if r.code != 0 {
		t.Fatalf("%v: %v", args, r)
	}
	return r.out
}

// up starts the daemon, as "skiff up -d" does for a user.
func (i *instance) up(t *testing.T) {
	t.Helper()
	must(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0")
}

// crash kills the daemon and returns once the process is gone.
func (i *instance) crash(t *testing.T) {
	t.Helper()
	pid, err := i.paths().Running()
	if err != nil || pid == 0 {
		t.Fatalf("find the daemon: process %d, %v", pid, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill the daemon: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := i.paths().WaitStopped(ctx, pid); err != nil {
		t.Fatal(err)
	}
}

// api gives a client of the instance's API. A daemon that is started again
// listens elsewhere and needs another one.
func (i *instance) api(t *testing.T) *skifftest.Instance {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", i.paths().Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Dial = -1, i.dial
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &skifftest.Instance{Config: config, Client: client}
}

// write makes a file in the directory where commands run.
func (i *instance) write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(i.work, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// remove purges the instance and looks for what is left of it.
func (i *instance) remove(t *testing.T) {
	if t.Failed() {
		i.tell(t)
	}
	i.checkLog(t)
	if r := try(t, i.skiff, "down", "--purge"); r.code != 0 {
		t.Errorf("purge: %v", r)
	}
	if left := i.onEngine(t); len(left) > 0 {
		t.Errorf("left on the engine after the purge: %q", left)
	}
	if _, err := os.Stat(i.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left after the purge: %s (%v)", i.dir, err)
	}
}

var badLine = regexp.MustCompile(`DATA RACE|^panic:|^fatal error:|watch ended with error`)

// checkLog looks in the daemon's log for what no log may have.
func (i *instance) checkLog(t *testing.T) {
	log, err := os.ReadFile(i.paths().Log)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(string(log), "\n")
	if n := slices.IndexFunc(lines, badLine.MatchString); n >= 0 {
		t.Errorf("the daemon's log has:\n%s", strings.Join(lines[n:min(n+60, len(lines))], "\n"))
	}
}

// tell logs what a person would look at first.
func (i *instance) tell(t *testing.T) {
	for _, args := range [][]string{{"get", "deployments,replicasets,pods,services", "-A", "-o", "wide"}, {"get", "events", "-A"}} {
		r := try(t, i.skiff, args...)
		t.Logf("skiff %s\n%s%s", strings.Join(args, " "), r.out, r.err)
	}
	if log, err := os.ReadFile(i.paths().Log); err == nil {
		lines := strings.Split(string(log), "\n")
		t.Logf("end of the daemon's log:\n%s", strings.Join(lines[max(0, len(lines)-100):], "\n"))
	}
}
