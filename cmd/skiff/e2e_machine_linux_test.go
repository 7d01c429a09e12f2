package main_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is a computer of a test's own, as far as containers go: an engine with
// network, mounts and processes of its own, so that it can be stopped, killed and
// started again without anybody else's noticing.
type machine struct {
	dir    string
	keeper *exec.Cmd // its first process; all others end with it
	engine *exec.Cmd // nil while it is down
	log    *os.File
}

// onMachine gives a machine whose engine runs and has the user's images of these
// names. It is gone when the test ends: its first process waits for the test's
// end of a pipe, so that this holds however the test ends.
func onMachine(t *testing.T, images ...string) *machine {
	t.Helper()
	needImages(t)
	for _, program := range []string{"dockerd", "unshare", "nsenter", "ip"} {
		if _, err := exec.LookPath(program); err != nil || os.Geteuid() != 0 {
			t.Skipf("a machine of the test's own takes root, dockerd, unshare, nsenter and ip (%v)", err)
		}
	}
	dir, err := os.MkdirTemp("", "skiff-machine-") // the engine's sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{dir: dir}
	if m.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text := read(t, m.log.Name()); t.Failed() {
			t.Logf("end of the engine's log:\n%s", text[max(0, len(text)-8000):])
		}
		if err := errors.Join(m.log.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	// The shell tells its number and, in waiting, takes away orphans that have ended.
	m.keeper = exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc",
		"sh", "-c", `ip link set lo up && exec 3<&0 && echo up && { cat <&3 & wait $!; }`)
	alive, err := m.keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := m.keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.keeper.Stderr = m.log
	if err := m.keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = alive.Close()
		_ = m.keeper.Wait()
		if m.engine != nil {
			_ = m.engine.Wait()
		}
	})
	if _, err := said.Read(make([]byte, 3)); err != nil {
		t.Skipf("no machine of the test's own can be made here: %s", read(t, m.log.Name()))
	}
	m.start(t, "{}")
	for _, image := range images {
		m.load(t, image)
	}
	return m
}

// first is the number of the machine's first process, as others see it.
func (m *machine) first() string {
	pid := strconv.Itoa(m.keeper.Process.Pid)
	children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		panic(err) // the kernel tells every process's children, or the machine is gone
	}
	return strings.TrimSpace(string(children))
}

func (m *machine) host() string { return "unix://" + filepath.Join(m.dir, "docker.sock") }

func (m *machine) inside(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", m.first(), "--mount", "--net", "--pid"}, args...)...)
}

// start has the engine run, with this configuration.
func (m *machine) start(t *testing.T, config string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(m.dir, name) }
	if err := os.WriteFile(in("daemon.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	m.engine = m.inside("dockerd", "--config-file", in("daemon.json"), "--data-root", in("data"), "--exec-root", in("run"),
		"--pidfile", in("pid"), "--host", m.host(), "--bridge", "none", "--storage-driver", "vfs")
	m.engine.Stdout, m.engine.Stderr = m.log, m.log
	if err := m.engine.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		out, err := exec.Command("docker", "-H", m.host(), "version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("the engine does not answer: %s", out)
		}
		return nil
	})
}

// stop asks the engine to end, as systemd does, and returns when it has.
func (m *machine) stop(t *testing.T) { m.signal(t, "TERM") }

// kill ends the engine at once. Its containers run on.
func (m *machine) kill(t *testing.T) { m.signal(t, "KILL") }

func (m *machine) signal(t *testing.T, signal string) {
	t.Helper()
	if out, err := m.inside("sh", "-c", "kill -"+signal+" $(cat "+filepath.Join(m.dir, "pid")+")").CombinedOutput(); err != nil {
		t.Fatalf("end the engine: %v: %s", err, out)
	}
	_ = m.engine.Wait()
	m.engine = nil
	// One that was killed has left it, and the next must not take it for its own.
	if err := os.RemoveAll(filepath.Join(m.dir, "pid")); err != nil {
		t.Fatal(err)
	}
}

// load copies one of the user's images.
func (m *machine) load(t *testing.T, image string) {
	t.Helper()
	save, load := exec.Command("docker", "save", image), exec.Command("docker", "-H", m.host(), "load")
	out, err := save.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	load.Stdin = out
	if err := save.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := load.CombinedOutput(); err != nil {
		t.Fatalf("copy image %s: %v: %s", image, err, said)
	}
	if err := save.Wait(); err != nil {
		t.Fatalf("copy image %s: %v", image, err)
	}
}

// instance gives a skiff that lives on the machine.
func (m *machine) instance(t *testing.T) *instance {
	t.Helper()
	i := newInstance(t)
	i.engine, i.dial = m.host(), m.dial
	i.within = []string{"nsenter", "--target", m.first(), "--net"}
	i.env = append(i.env, "DOCKER_HOST="+m.host())
	return i
}

// dial connects to an address on the machine. A socket is of the network in which
// the thread was that made it; a thread that was in another one is of no use to
// others and ends with its goroutine.
func (m *machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		runtime.LockOSThread()
		conn, err := func() (net.Conn, error) {
			ns, err := os.Open(filepath.Join("/proc", m.first(), "ns/net"))
			if err != nil {
				return nil, err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, fmt.Errorf("enter the machine's network: %w", err)
			}
			d := net.Dialer{Timeout: 10 * time.Second}
			return d.DialContext(ctx, network, address)
		}()
		done <- answer{conn, err}
	}()
	a := <-done
	return a.conn, a.err
}
