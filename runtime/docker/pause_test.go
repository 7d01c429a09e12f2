package docker

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"skiff/runtime/container"
)

func TestPauseProgram(t *testing.T) {
	t.Parallel()
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program, err := pauseProgram(arch)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatalf("%s: %v", arch, err)
		}
		if f.Machine != machine || f.Type != elf.ET_EXEC || len(f.Progs) != 1 {
			t.Errorf("%s: %+v", arch, f.FileHeader)
		}
		p := f.Progs[0]
		if code := program[f.Entry-p.Vaddr:]; !bytes.Equal(code, pauseCode[arch]) {
			t.Errorf("%s begins at % x", arch, code)
		}
		if p.Filesz != uint64(len(program)) || p.Flags != elf.PF_R|elf.PF_X {
			t.Errorf("%s: %+v", arch, p.ProgHeader)
		}
	}
	if _, err := pauseProgram("mips"); err == nil {
		t.Error("a pause program for an unknown processor")
	}
}

func TestSandbox(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	box := spec(t, e)
	box.Name, box.ImageID = container.SandboxName, ""
	box.Hosts = []string{"db.example:10.1.2.3"}
	boxID := start(t, e, box)

	app := spec(t, e, "serve")
	app.Pod, app.Hostname, app.Network = box.Pod, "", container.Network{Sandbox: boxID}
	id := start(t, e, app)
	answer(t, e, box.Network.Address.String())
	for file, want := range map[string]string{"/etc/hostname": box.Hostname, "/etc/hosts": "10.1.2.3\tdb.example"} {
		out, code, err := e.Exec(t.Context(), id, []string{"/app", "cat", file})
		if err != nil || code != 0 || !strings.Contains(string(out), want) {
			t.Errorf("%s = %q, %d, %v, want %q", file, out, code, err, want)
		}
	}

	c, err := e.inspect(t.Context(), boxID)
	if err != nil {
		t.Fatal(err)
	}
	if used := resident(t, c.State.Pid); used > 1<<20 {
		t.Errorf("the sandbox takes %d bytes of memory, want less than 1 MiB", used)
	}
	began := time.Now()
	if err := e.Stop(t.Context(), boxID, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took >= 30*time.Second {
		t.Errorf("stopping the sandbox took %s: it waited for the grace", took)
	}
}

// TestSharedProcesses: the sandbox is everybody's first process, and takes those
// away that nobody waits for.
func TestSharedProcesses(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	box := spec(t, e)
	box.Name, box.ImageID = container.SandboxName, ""
	boxID := start(t, e, box)
	app := spec(t, e, "serve")
	app.Pod, app.Hostname, app.Network = box.Pod, "", container.Network{Sandbox: boxID}
	app.Namespaces = container.Namespaces{IPC: boxID, PID: boxID}
	id := start(t, e, app)
	if out := execOut(t, e, id, "/app", "cat", "/proc/1/comm"); out != "pause\n" {
		t.Errorf("the first process is %q", out)
	}
	c, err := e.inspect(t.Context(), boxID)
	if err != nil {
		t.Fatal(err)
	}
	children := fmt.Sprintf("/proc/%d/task/%[1]d/children", c.State.Pid)
	orphan := execOut(t, e, id, "/app", "orphan")
	eventually(t, "the sandbox inherits the orphan", func() bool { return read(t, children) != "" })
	execOut(t, e, id, "/app", "kill", orphan)
	eventually(t, "the orphan is taken away", func() bool { return read(t, children) == "" })
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// resident is the memory that a process really has.
func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
