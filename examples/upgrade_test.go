// Package examples_test upgrades the examples' databases.
package examples_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/skifftest"
)

// database is one that is upgraded while its client writes.
type database struct {
	name     string
	address  string   // the client's flag, with the Service's node port in it
	versions []string // that the client is to meet

	client *exec.Cmd
	out    bytes.Buffer
	says   *bufio.Scanner // its standard error, by lines
}

// Databases are upgraded, and the upgrades taken back, under their official
// clients, which see a pause and no error and find all that was acknowledged.
func TestUpgradeUnderTheOfficialClients(t *testing.T) {
	t.Parallel()
	databases := []*database{
		{name: "redis", address: "-address=127.0.0.1:%d", versions: []string{"104857600", "209715200", "104857600"}},
		{name: "postgres", address: "-url=postgres://postgres@127.0.0.1:%d/postgres", versions: []string{"release 1", "release 2", "release 1"}},
	}
	i := skifftest.New(t)
	for _, d := range databases {
		i.Apply(t, filepath.Join(d.name, d.name+".yaml"))
	}
	for _, d := range databases {
		d.build(t)
	}
	for _, d := range databases {
		i.WaitRollout(t, d.name)
		d.start(t, i)
	}
	for n, release := range []string{"2", "1"} {
		for _, d := range databases {
			d.meets(t, d.versions[n]) // it writes
		}
		for _, d := range databases {
			i.Update(t, d.name, func(o *appsv1.Deployment) {
				o.Spec.Template.Spec.Containers[0].Image = "skiff-example/" + d.name + ":" + release
			})
		}
		for _, d := range databases {
			i.WaitRollout(t, d.name)
		}
	}
	for _, d := range databases {
		d.meets(t, d.versions[2])
		if err := d.client.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range databases {
		d.end(t)
	}
}

func (d *database) build(t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "client")
	build := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(d.name, "client"), "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the client of %s: %v\n%s", d.name, err, out)
	}
	d.client = exec.CommandContext(t.Context(), binary)
}

func (d *database) start(t *testing.T, i *skifftest.Instance) {
	t.Helper()
	service, err := i.Client.CoreV1().Services(skifftest.Namespace).Get(t.Context(), d.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.client.Args = append(d.client.Args, fmt.Sprintf(d.address, service.Spec.Ports[0].NodePort))
	d.client.Env = append(d.client.Environ(), "PGPASSWORD=an example's, change it")
	d.client.Stdout = &d.out
	problems, err := d.client.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.says = bufio.NewScanner(problems)
	if err := d.client.Start(); err != nil {
		t.Fatal(err)
	}
}

// meets waits until the client says that it met the version.
func (d *database) meets(t *testing.T, version string) {
	t.Helper()
	if !d.says.Scan() || d.says.Text() != "met "+version {
		t.Fatalf("the client of %s says %q, not that it met %s", d.name, d.says.Text(), version)
	}
}

// end waits until the client, which was told to stop, has read all back.
func (d *database) end(t *testing.T) {
	t.Helper()
	for d.says.Scan() {
		t.Errorf("the client of %s says %s", d.name, d.says.Text())
	}
	if err := d.client.Wait(); err != nil {
		t.Errorf("the client of %s: %v", d.name, err)
	}
	var seen struct{ Acknowledged, Failed, LongestWaitMs, Found int }
	if err := json.Unmarshal(d.out.Bytes(), &seen); err != nil {
		t.Fatalf("read %q: %v", d.out.String(), err)
	}
	if seen.Acknowledged == 0 || seen.Failed > 0 || seen.Found != seen.Acknowledged {
		t.Errorf("the client of %s saw %s", d.name, d.out.String())
	}
	t.Logf("%s: %+v", d.name, seen)
}
