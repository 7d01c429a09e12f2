package skifftest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"skiff/orchestrator"
)

// playsPart has a test be the one that is killed, or that does not start.
const playsPart = "SKIFFTEST_PLAYS_PART"

// TestRemovesWhatAKilledTestHasLeft: whoever calls New next takes the instance
// away, and leaves alone those of processes that live.
func TestRemovesWhatAKilledTestHasLeft(t *testing.T) {
	if os.Getenv(playsPart) != "" {
		fmt.Println("begun:", New(t).Options.Name)
		select {}
	}
	t.Parallel()
	cache := t.TempDir()
	hs := homes(filepath.Join(cache, "skiff", "tests"))
	victim, end := begin(t, cache)
	bystander, endBystander := begin(t, cache)
	end()
	for _, kind := range []string{"container", "network"} {
		if onEngine(t, kind, victim) == "" {
			t.Fatalf("the test that was killed has left no %s", kind)
		}
	}

	if err := hs.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"container", "network"} {
		if left := onEngine(t, kind, victim); left != "" {
			t.Errorf("a %s of the test that was killed is left: %s", kind, left)
		}
		if onEngine(t, kind, bystander) == "" {
			t.Errorf("the %s of a test that runs is gone", kind)
		}
	}
	if left, err := os.ReadDir(string(hs)); err != nil || len(left) != 2 { // the bystander's, and a lock
		t.Errorf("left are %v, %v", left, err)
	}

	endBystander()
	if err := hs.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestLeavesNothingOfWhatDoesNotStart: an instance has made its network before it
// finds that it cannot listen.
func TestLeavesNothingOfWhatDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if os.Getenv(playsPart) != "" {
		New(t, func(o *orchestrator.Options) {
			fmt.Println("begun:", o.Name)
			o.Listen = taken.Addr().String()
		})
		return
	}
	t.Parallel()
	out, err := again(t, t.TempDir()).Output()
	_, rest, _ := strings.Cut(string(out), "begun: ")
	name, _, begun := strings.Cut(rest, "\n")
	if err == nil || !begun || !strings.Contains(rest, "address already in use") {
		t.Fatalf("the test ended with %v:\n%s", err, out)
	}
	for _, kind := range []string{"container", "network"} {
		if left := onEngine(t, kind, name); left != "" {
			t.Errorf("a %s is left: %s", kind, left)
		}
	}
}

// begin runs a test until its instance is ready.
func begin(t *testing.T, cache string) (name string, kill func()) {
	t.Helper()
	test := again(t, cache)
	test.Stderr = os.Stderr
	out, err := test.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := test.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = test.Process.Kill()
		_ = test.Wait() // it was killed
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "begun: "); ok {
			return name, kill
		}
		t.Log(lines.Text())
	}
	t.Fatalf("the test has not begun: %v", lines.Err())
	return "", nil
}

// again is this test as another process, which plays its part in it.
func again(t *testing.T, cache string) *exec.Cmd {
	t.Helper()
	built, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	test.Env = append(os.Environ(), playsPart+"=true", "XDG_CACHE_HOME="+cache, "GOCACHE="+strings.TrimSpace(string(built)))
	return test
}

// onEngine lists what the engine has of an instance.
func onEngine(t *testing.T, kind, instance string) string {
	t.Helper()
	args := []string{kind, "ls", "-q", "--filter", "label=skiff.instance=" + instance}
	if kind == "container" {
		args = append(args, "-a")
	}
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
