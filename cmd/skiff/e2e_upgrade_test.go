package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"skiff/orchestrator/skifftest"
)

var upgraded = regexp.MustCompile(`^upgraded skiff \S+ → \S+ in [0-9.]+ s, (\d+) listeners handed over \(process (\d+) → (\d+)\)\n$`)

// upgrade has another process take over and gives the numbers of both.
func (i *instance) upgrade(t *testing.T) (before, after int) {
	t.Helper()
	r := i.tryUpgrade(t)
	if r.code != 0 {
		t.Fatalf("upgrade: %v", r)
	}
	out := r.out
	said := upgraded.FindStringSubmatch(out)
	if said == nil {
		t.Fatalf("upgrade says %q", out)
	}
	t.Log(strings.TrimSpace(out))
	listeners, _ := strconv.Atoi(said[1])
	before, _ = strconv.Atoi(said[2])
	after, _ = strconv.Atoi(said[3])
	if listeners < 2 || before == after {
		t.Errorf("nothing was handed over: %s", out)
	}
	i.runsAs(t, after)
	return before, after
}

// tryUpgrade asks for an upgrade, and again where the daemon has only just begun
// or gone on, and so is not ready to be asked.
func (i *instance) tryUpgrade(t *testing.T, args ...string) (r result) {
	t.Helper()
	eventually(t, func() error {
		if r = try(t, i.skiff, append([]string{"upgrade"}, args...)...); strings.Contains(r.err, "about to start") {
			return errors.New(r.err)
		}
		return nil
	})
	return r
}

// runsAs checks that a process holds the instance, so that no other can.
func (i *instance) runsAs(t *testing.T, process int) {
	t.Helper()
	if pid, err := i.paths().Running(); err != nil || pid != process {
		t.Errorf("process %d runs the instance instead of %d: %v", pid, process, err)
	}
	if out := must(t, i.skiff, "up", "-d"); out != fmt.Sprintf("skiff is already running (process %d)\n", process) {
		t.Errorf("a second daemon was not refused: %s", out)
	}
}

// alive says whether a process has not ended, whoever is to bury it.
func alive(process int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func waitEnded(t *testing.T, process int) {
	t.Helper()
	eventually(t, func() error {
		if alive(process) {
			return fmt.Errorf("process %d has not ended", process)
		}
		return nil
	})
}

// ownGatewayProgram gives the instance a copy of the gateway's program, and says
// where it is.
func (i *instance) ownGatewayProgram(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(skifftest.GatewayProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(i.work, "skiff-gateway")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	i.env = append(i.env, "SKIFF_GATEWAY_PROGRAM="+path)
	return path
}

// change makes a program another version, as far as one can tell from outside.
func change(t *testing.T, program string) {
	t.Helper()
	f, err := os.OpenFile(program, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("another version")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade replaces the daemon twice in a row, once by one with another
// gateway, and then rolls out while both that went before still have
// connections. Nobody may notice.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	program := i.ownGatewayProgram(t)
	must(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0", "--ingress", "0,0") // where the next one does not look for it
	web := i.deployWeb(t)
	tcp, _ := i.expose(t, "raw", "tcp")
	i.answers(t, tcp)
	_, inside := i.expose(t, "inner", "http")
	i.answers(t, inside)
	door := i.door(t)
	users := i.use(t, web, tcp, inside, door)
	watched := make(chan result, 1)
	go func() { watched <- finish(t, i.skiff(t.Context(), "get", "pods", "--watch")) }()

	first := chat(t, web)
	ask, endTCP := hold(t, tcp)
	askInside, endInside := hold(t, inside)
	if err := first("one"); err != nil {
		t.Fatal(err)
	}
	i.keepsOn(t, door, "dies")
	one, two := i.upgrade(t)
	second := chat(t, web)
	if err := errors.Join(first("two"), second("two"), ask(), askInside()); err != nil {
		t.Errorf("after the first upgrade: %v", err)
	}
	change(t, program)
	also, three := i.upgrade(t)
	if also != two {
		t.Errorf("process %d handed over instead of %d", also, two)
	}
	if err := errors.Join(first("three"), second("three"), ask(), askInside()); err != nil {
		t.Errorf("after the second upgrade: %v", err)
	}
	if !alive(one) || !alive(two) {
		t.Error("a process with connections has ended")
	}
	endTCP()
	endInside()
	if r := <-watched; !strings.Contains(r.err, "the server ended the watch") {
		t.Errorf("a watch did not end well: %v", r)
	}

	must(t, i.skiff, "set", "image", "deployment/web", "web=skiff-example/web:2")
	must(t, i.skiff, "rollout", "status", "deployment/web")
	for _, say := range []func(string) error{first, second} {
		var err error
		eventually(t, func() error {
			if err = say("four"); err == nil {
				return errors.New("a WebSocket whose Pod is to go has not ended")
			}
			return nil
		})
		if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
			t.Errorf("a WebSocket whose Pod has gone ended with %v", err)
		}
	}
	i.keepsOn(t, door, "absent", "ends", "silent", "astray", "hesitates")
	users.Stop(t)
	waitEnded(t, one)
	waitEnded(t, two)
	i.runsAs(t, three) // the lock outlives those that had it first
	i.owned(t)

	// And the end of the one that runs is the end of all.
	last := chat(t, web)
	_, four := i.upgrade(t)
	if err := last("five"); err != nil {
		t.Error(err)
	}
	must(t, i.skiff, "down")
	waitEnded(t, four)
	waitEnded(t, three)
	if left := i.running(t); len(left) > 0 {
		t.Errorf("still run after the end: %v", left)
	}
}

// keepsOn has upgrades fail in some ways, after each of which the one that runs
// goes on, and serves the Ingress door where it was.
func (i *instance) keepsOn(t *testing.T, door string, ways ...string) {
	t.Helper()
	script := func(name, text string) string {
		path := filepath.Join(i.work, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	process, err := i.paths().Running()
	if err != nil {
		t.Fatal(err)
	}
	long := patience.String()
	all := map[string]struct{ text, timeout, says string }{
		"absent":    {"", long, "no such file"},
		"ends":      {"echo I cannot >&2; exit 3", long, "I cannot"},
		"silent":    {"exec sleep 60", "1s", "did not become ready in time"},
		"astray":    {"export DOCKER_HOST=tcp://127.0.0.1:1; exec " + os.Args[0] + ` "$@"`, long, "127.0.0.1:1"},
		"dies":      {"export SKIFF_TEST_TAKE_AND_END=now; exec " + os.Args[0] + ` "$@"`, long, "skiff ended while it started"},
		"hesitates": {"export SKIFF_TEST_TAKE_AND_END=later; exec " + os.Args[0] + ` "$@"`, "3s", "did not become ready in time"},
	}
	for _, name := range ways {
		bad := all[name]
		binary := filepath.Join(i.work, name)
		if bad.text != "" {
			binary = script(name, bad.text)
		}
		r := i.tryUpgrade(t, "--binary", binary, "--timeout", bad.timeout)
		if r.code != 1 || !strings.Contains(r.err, bad.says) {
			t.Errorf("%s: %v", name, r)
		}
		i.runsAs(t, process)
		if !alive(process) {
			t.Fatalf("%s: the daemon has ended", name)
		}
		must(t, i.skiff, "get", "pods")
		if now := i.doorAt(t); now != door {
			t.Errorf("%s: the Ingress was served at %s and is at %s", name, door, now)
		}
	}
}

// A daemon without anything that it serves hands over nothing but the API; and
// who has none is told so.
func TestUpgradeOfNothing(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	if r := try(t, i.skiff, "upgrade"); r.code != 1 || !strings.Contains(r.err, "not running") {
		t.Errorf("upgrade of nothing: %v", r)
	}
	i.up(t)
	for range 3 { // with no connection that would keep the old process
		if r := i.tryUpgrade(t); r.code != 0 {
			t.Fatalf("upgrade: %v", r)
		}
		must(t, i.skiff, "get", "pods")
	}
}

// An Ingress that is served no more does not say that it is.
func TestIngressOff(t *testing.T) {
	t.Parallel()
	i := newInstance(t)
	must(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0", "--ingress", "0,0")
	must(t, i.skiff, "create", "-f", i.write(t, "door.yaml", doorManifest))
	i.doorAt(t)
	must(t, i.skiff, "down")
	must(t, i.skiff, "up", "-d", "--listen", "127.0.0.1:0", "--ingress", "off")
	if at := must(t, i.skiff, "get", "ingress", "door", "-o", "jsonpath={.status}"); at != `{"loadBalancer":{}}` {
		t.Errorf("the status is %s", at)
	}
}
