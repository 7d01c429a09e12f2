// Command inside tells how a container looks from inside: as whom it runs, what it
// may do and take, and its environment. It prints that as JSON when it starts and
// serves it on $PORT, 8080 if unset. "inside eat" takes memory until there is none;
// files.go has commands for files.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// View is what there is to see.
type View struct {
	UID             int               `json:"uid"`
	GID             int               `json:"gid"`
	Groups          []int             `json:"groups"`
	Capabilities    string            `json:"capabilities"` // in effect, as the kernel's bit set
	Bounding        string            `json:"bounding"`     // those that a program in the container could have at most
	NoNewPrivileges bool              `json:"noNewPrivileges"`
	Seccomp         string            `json:"seccomp"` // 0: nothing is filtered, 2: a profile holds
	ReadOnlyRoot    bool              `json:"readOnlyRoot"`
	OOMScoreAdj     int               `json:"oomScoreAdj"`
	Memory          string            `json:"memory"` // limit in bytes
	CPU             string            `json:"cpu"`    // microseconds in each period
	PingGroups      string            `json:"pingGroups"`
	Environment     map[string]string `json:"environment"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "eat" {
		eat()
	}
	if len(os.Args) > 1 {
		if err := files(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	text, err := json.Marshal(look())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(text))
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		os.Exit(0)
	}()
	fmt.Fprintln(os.Stderr, http.ListenAndServe(":"+cmp.Or(os.Getenv("PORT"), "8080"), nil))
	os.Exit(1)
}

func look() View {
	status := processStatus()
	groups, _ := os.Getgroups()
	score, _ := strconv.Atoi(first("/proc/self/oom_score_adj"))
	return View{
		UID: os.Getuid(), GID: os.Getgid(), Groups: groups,
		Capabilities: status["CapEff"], Bounding: status["CapBnd"],
		NoNewPrivileges: status["NoNewPrivs"] == "1", Seccomp: status["Seccomp"],
		ReadOnlyRoot: readOnly(), OOMScoreAdj: score,
		Memory:      first("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
		CPU:         processor(),
		PingGroups:  first("/proc/sys/net/ipv4/ping_group_range"),
		Environment: environment(),
	}
}

// processStatus is what the kernel says of this process.
func processStatus() map[string]string {
	status := map[string]string{}
	for line := range strings.Lines(first("/proc/self/status")) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	return status
}

// readOnly tries to write beside the program.
func readOnly() bool {
	file, err := os.Create("/written")
	if err != nil {
		return errors.Is(err, syscall.EROFS)
	}
	_ = file.Close()
	return false
}

// processor is quota and period: in one file in version 2 of control groups, in
// two in version 1.
func processor() string {
	if both := first("/sys/fs/cgroup/cpu.max"); both != "" {
		return both
	}
	return first("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") + " " + first("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
}

func environment() map[string]string {
	out := map[string]string{}
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		out[name] = value
	}
	return out
}

// first reads the first of the files that exists.
func first(paths ...string) string {
	for _, path := range paths {
		if content, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(content))
		}
	}
	return ""
}

// eat never returns: it takes memory until the kernel ends it.
func eat() {
	var eaten [][]byte
	for {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = 1
		}
		eaten = append(eaten, block)
		if len(eaten) > 1<<16 {
			os.Exit(1) // nobody has stopped it
		}
	}
}
