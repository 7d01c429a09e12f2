package main_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/skifftest"
)

// The seed document's ReplicaSets, as a real Kubernetes 1.37 names them.
const (
	rs33 = "go-demo-2-db-6f89cd886"
	rs35 = "go-demo-2-db-59c88b6456"
)

// session types commands and compares what they print with what it should be,
// whichever program prints it.
type session struct {
	*testing.T
	i    *instance
	name string // of the program
	do   tool
	api  *skifftest.Instance
}

// TestSeedSession plays the session of the document that skiff comes from, word
// for word: once with skiff, once with the real kubectl.
func TestSeedSession(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"skiff", "kubectl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "kubectl" {
				needKubectl(t)
			}
			i := start(t)
			s := &session{T: t, i: i, name: name, do: i.skiff, api: i.api(t)}
			if name == "kubectl" {
				s.do = i.kubectl
			}
			s.create()
			s.update()
			s.edit()
			s.apply()
			s.revisions()
			s.scaleAndLogs()
			s.service()
			s.createAgain()
		})
	}
}

const (
	db       = "deploy/go-demo-2-db.yml"
	recorded = "Flag --record has been deprecated, --record will be removed in the future\n"
)

func (s *session) create() {
	s.types(`create -f `+db+` --record`, "deployment.apps/go-demo-2-db created\n", recorded)
	s.rolledOut()
	s.types(`get -f `+db, `NAME  READY  UP-TO-DATE  AVAILABLE  AGE
go-demo-2-db  1/1  1  1  AGE
`, "")
	s.describes(1, "NAME create --filename=deploy/go-demo-2-db.yml --record=true", "mongo:3.3",
		"OldReplicaSets:  <none>\nNewReplicaSet:  "+rs33+" (1/1 replicas created)",
		"Scaled up replica set "+rs33+" from 0 to 1")
	s.types(`get all`, `NAME  READY  STATUS  RESTARTS  AGE
pod/`+rs33+`-xxxxx  1/1  Running  0  AGE

NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE
service/kubernetes  ClusterIP  IP  <none>  443/TCP  AGE

NAME  READY  UP-TO-DATE  AVAILABLE  AGE
deployment.apps/go-demo-2-db  1/1  1  1  AGE

NAME  DESIRED  CURRENT  READY  AGE
replicaset.apps/`+rs33+`  1  1  1  AGE
`, "")
}

func (s *session) update() {
	s.types(`set image -f `+db+` db=mongo:3.5 --record`, "deployment.apps/go-demo-2-db image updated\n", recorded)
	s.rolledOut()
	s.describes(2, "NAME set image db=mongo:3.5 --filename=deploy/go-demo-2-db.yml --record=true", "mongo:3.5",
		"OldReplicaSets:  "+rs33+" (0/0 replicas created)\nNewReplicaSet:  "+rs35+" (1/1 replicas created)",
		"Scaled up replica set "+rs33+" from 0 to 1",
		"Scaled up replica set "+rs35+" from 0 to 1",
		"Scaled down replica set "+rs33+" from 1 to 0")
	s.onePod(rs35)
	s.types(`get all`, `NAME  READY  STATUS  RESTARTS  AGE
pod/`+rs35+`-xxxxx  1/1  Running  0  AGE

NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE
service/kubernetes  ClusterIP  IP  <none>  443/TCP  AGE

NAME  READY  UP-TO-DATE  AVAILABLE  AGE
deployment.apps/go-demo-2-db  1/1  1  1  AGE

NAME  DESIRED  CURRENT  READY  AGE
replicaset.apps/`+rs35+`  1  1  1  AGE
replicaset.apps/`+rs33+`  0  0  0  AGE
`, "")
}

func (s *session) edit() {
	s.editor("true") // the document's ":q"
	s.types(`edit -f `+db, "", "Edit cancelled, no changes made.\n")
	s.editor("sed -i s/mongo:3.5/mongo:3.3/")
	s.types(`edit -f `+db, "deployment.apps/go-demo-2-db edited\n", "")
	s.rolledOut()
	s.onePod(rs33)
}

func (s *session) apply() {
	text := read(s.T, "../../examples/mongo/go-demo-2-db.yml")
	changed := s.i.write(s.T, "go-demo-2-db.yml", strings.ReplaceAll(text, "mongo:3.3", "mongo:3.5"))
	s.types(`apply -f `+changed, "deployment.apps/go-demo-2-db configured\n",
		"Warning: resource deployments/go-demo-2-db is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by NAME apply. "+
			"NAME apply should only be used on resources created declaratively by either NAME create --save-config or NAME apply. "+
			"The missing annotation will be patched automatically.\n")
	s.rolledOut()
	s.onePod(rs35)
	s.types(`apply -f `+changed, "deployment.apps/go-demo-2-db unchanged\n", "")
}

// revisions: the edit made 3 of what had been 1, and apply 4 of 2. The edit has
// changed the image in the recorded command, too: sed looks at every line.
func (s *session) revisions() {
	const managed = "Warning: resource deployments/go-demo-2-db was previously managed with 'NAME apply'. " +
		"Rolling back will not update the kubectl.kubernetes.io/last-applied-configuration annotation, which may cause unexpected behavior on future 'NAME apply' operations. " +
		"Consider using 'NAME apply' with your previous configuration file instead.\n"
	cause := "NAME set image db=mongo:3.3 --filename=deploy/go-demo-2-db.yml --record=true"
	s.types(`rollout history deployment/go-demo-2-db`, `deployment.apps/go-demo-2-db
REVISION  CHANGE-CAUSE
3  `+cause+`
4  `+cause+`

`, "")
	s.types(`rollout undo deployment/go-demo-2-db`, "deployment.apps/go-demo-2-db rolled back\n", managed)
	s.rolledOut()
	s.onePod(rs33)
	s.types(`rollout pause deployment/go-demo-2-db`, "deployment.apps/go-demo-2-db paused\n", "")
	s.types(`set image deployment/go-demo-2-db db=mongo:3.5`, "deployment.apps/go-demo-2-db image updated\n", "")
	s.api.WaitDeployment(s.T, "go-demo-2-db", func(d *appsv1.Deployment) bool {
		return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == 0
	})
	s.onePod(rs33)
	s.types(`rollout resume deployment/go-demo-2-db`, "deployment.apps/go-demo-2-db resumed\n", "")
	s.rolledOut()
	s.onePod(rs35)
	s.types(`rollout undo deployment/go-demo-2-db --to-revision=5`, "deployment.apps/go-demo-2-db rolled back\n", managed)
	s.rolledOut()
	before := s.onePod(rs33)
	s.types(`rollout restart deployment/go-demo-2-db`, "deployment.apps/go-demo-2-db restarted\n", "")
	s.rolledOut()
	if after := s.onePod("go-demo-2-db"); after.UID == before.UID {
		s.Errorf("the restart left Pod %s", before.Name)
	}
}

func (s *session) scaleAndLogs() {
	s.types(`scale deployment/go-demo-2-db --replicas=2`, "deployment.apps/go-demo-2-db scaled\n", "")
	s.rolledOut()
	s.api.WaitPods(s.T, "service=go-demo-2", func(pods []corev1.Pod) bool { return len(pods) == 2 })
	eventually(s.T, func() error { // the second one may be running and have said nothing yet
		out := must(s.T, s.do, "logs", "-l", "service=go-demo-2", "--prefix")
		if n := strings.Count(out, "stand-in for mongo 3.3.0 listens on"); n != 2 && !strings.Contains(out, "MongoDB starting") {
			return fmt.Errorf("the logs of two Pods:\n%s", out)
		}
		return nil
	})
	s.types(`scale -f `+db+` --replicas=1`, "deployment.apps/go-demo-2-db scaled\n", "")
	s.rolledOut()
}

func (s *session) service() {
	s.types(`create -f deploy/go-demo-2-db-svc.yml --record`, "service/go-demo-2-db created\n", recorded)
	s.types(`get -f deploy/go-demo-2-db-svc.yml`, `NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE
go-demo-2-db  NodePort  IP  <none>  27017:30017/TCP  AGE
`, "")
}

// createAgain shows that a name is a hash of what runs: it comes back.
func (s *session) createAgain() {
	s.types(`delete -f deploy/go-demo-2-db-svc.yml`, "service \"go-demo-2-db\" deleted from default namespace\n", "")
	s.types(`delete -f `+db, "deployment.apps \"go-demo-2-db\" deleted from default namespace\n", "")
	s.api.WaitPods(s.T, "", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	s.types(`create -f `+db+` --record`, "deployment.apps/go-demo-2-db created\n", recorded)
	s.rolledOut()
	s.onePod(rs33)
}

// types runs a command and compares all that it prints.
func (s *session) types(line, out, errs string) {
	s.Helper()
	r := try(s.T, s.do, strings.Fields(line)...)
	if r.code != 0 {
		s.Fatalf("%s %s: %v", s.name, line, r)
	}
	if diff := cmp.Diff(out, s.alike(receipts.ReplaceAllString(r.out, ""))); diff != "" {
		s.Errorf("%s %s (-want +got):\n%s", s.name, line, diff)
	}
	if diff := cmp.Diff(errs, s.alike(r.err)); diff != "" {
		s.Errorf("%s %s, standard error (-want +got):\n%s", s.name, line, diff)
	}
}

// What skiff says besides what kubectl says: how a rollout went.
var (
	receipts      = regexp.MustCompile(`(?m)^\S+ (\d+ → )?\d+ \| .*\n`)
	receiptEvents = regexp.MustCompile(`(?m)^ *Normal +RolloutReceipt .*\n`)
)

func (s *session) alike(text string) string {
	return regexp.MustCompile(`\b`+s.name+` (create|set|apply)\b`).ReplaceAllString(alike(text), "NAME $1")
}

// differing is what two runs of one session never have in common.
var differing = []struct {
	pattern *regexp.Regexp
	is      string
}{
	{regexp.MustCompile(`(go-demo-2-db-[0-9a-z]{8,10})-[0-9a-z]{5}\b`), "$1-xxxxx"},
	{regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b`), "IP"},
	{regexp.MustCompile(`(?m)^(CreationTimestamp|Start Time|      Started): .*`), "$1: TIME"},
	{regexp.MustCompile(`\b(\d+[dhms]){1,2}\b`), "AGE"},
	{regexp.MustCompile(`AGE \(x\d+ over AGE\)`), "AGE"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(`(?m)(: | )+$`), ""},
}

// alike takes out of a text what is different every time.
func alike(text string) string {
	for _, d := range differing {
		text = d.pattern.ReplaceAllString(text, d.is)
	}
	return text
}

// rolledOut waits for the rollout and sees that the command says it is done.
func (s *session) rolledOut() {
	s.Helper()
	out := must(s.T, s.do, "rollout", "status", "-f", db)
	if !strings.HasSuffix(receipts.ReplaceAllString(out, ""), "deployment \"go-demo-2-db\" successfully rolled out\n") {
		s.Errorf("rollout status: %s", out)
	}
}

// onePod waits until a Pod of this name is the only one left.
func (s *session) onePod(prefix string) corev1.Pod {
	s.Helper()
	return s.api.WaitPods(s.T, "", func(pods []corev1.Pod) bool {
		return len(pods) == 1 && strings.HasPrefix(pods[0].Name, prefix+"-")
	})[0]
}

// editor has the commands from here on open this one.
func (s *session) editor(command string) {
	s.i.env = append(s.i.env, "KUBE_EDITOR="+command)
}

// describes compares the description of the Deployment, its events included.
// These are written beside what they tell of and may come a moment later.
func (s *session) describes(revision int, cause, image, replicaSets string, events ...string) {
	s.Helper()
	want := fmt.Sprintf(read(s.T, filepath.Join("testdata", "describe.txt")), revision, cause, image, replicaSets)
	for _, e := range events {
		want += "  Normal  ScalingReplicaSet  AGE  deployment-controller  " + e + "\n"
	}
	eventually(s.T, func() error {
		got := receiptEvents.ReplaceAllString(s.alike(must(s.T, s.do, "describe", "-f", db)), "")
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("describe (-want +got):\n%s", diff)
		}
		return nil
	})
}
