package main_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSameAsKubectl asks one instance the same with both programs: what skiff
// prints is what kubectl prints, errors and exit codes included.
func TestSameAsKubectl(t *testing.T) {
	t.Parallel()
	needKubectl(t)
	i := start(t)
	must(t, i.skiff, "create", "-f", db, "--record")
	must(t, i.skiff, "create", "-f", "deploy/go-demo-2-db-svc.yml")
	must(t, i.skiff, "create", "-f", i.write(t, "claim.yaml", claimManifest))
	must(t, i.skiff, "rollout", "status", "-f", db)
	must(t, i.skiff, "set", "image", "-f", db, "db=mongo:3.5", "--record")
	must(t, i.skiff, "rollout", "status", "-f", db)
	s := &session{T: t, api: i.api(t)}
	pod := s.onePod(rs35).Name
	i.settle(t)

	for _, line := range []string{
		"get all",
		"get deployments",
		"get deployments,services -o wide",
		"get pods -o wide",
		"get replicasets -o wide",
		"get nodes -o wide",
		"get endpointslices",
		"get namespaces",
		"get configmaps,serviceaccounts",
		"get pvc",
		"get pv,pvc -o wide",
		"describe pvc notes",
		"get events --sort-by=.metadata.name",
		"get pods -A",
		"get all -A",
		"get pods --show-labels",
		"get pods -L service,vendor",
		"get pods -l type=db,vendor=MongoLabs --no-headers",
		"get pods -l type=nothing",
		"get pods --field-selector status.phase=Running",
		"get pods -n kube-system",
		"get pods -o name",
		"get pods -o yaml",
		"get -f " + db + " -o yaml",
		"get -f deploy/go-demo-2-db-svc.yml -o json",
		"get deployment go-demo-2-db -o json",
		"get deployments,services -o yaml",
		"get pods -o jsonpath={.items[*].spec.containers[*].image}",
		"get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP",
		"get deployment go-demo-2-db --show-managed-fields -o yaml",
		"get deployment nothing",
		"get nothing",
		"get deployment/go-demo-2-db pod/" + pod + " service/nothing",
		"describe deployment go-demo-2-db",
		"describe pod " + pod,
		"describe pods",
		"describe service go-demo-2-db",
		"describe replicaset " + rs33,
		"describe rs",
		"describe node",
		"describe namespace default",
		"describe endpoints go-demo-2-db",
		"describe deployment nothing",
		"rollout history deployment/go-demo-2-db",
		"rollout history deployment/go-demo-2-db --revision=1",
		"rollout history deployment/go-demo-2-db --revision=7",
		"get --raw /version",
		"rollout status deployment/go-demo-2-db",
		"rollout status deployment/go-demo-2-db --revision=1",
		"rollout status service/go-demo-2-db",
		"rollout undo deployment/go-demo-2-db --to-revision=9",
		"logs deployment/go-demo-2-db",
		"logs " + pod + " -c nothing",
		"set image deployment/go-demo-2-db nothing=mongo:3.5",
		"scale deployment/nothing --replicas=2",
		"delete deployment nothing",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(line)
			eventually(t, func() error { // something may change between one and the other, such as an event's count
				ours, theirs := try(t, i.skiff, args...), try(t, i.kubectl, args...)
				ours.out = receipts.ReplaceAllString(ours.out, "")
				if diff := cmp.Diff(ageless(theirs), ageless(ours), cmp.AllowUnexported(result{})); diff != "" {
					return fmt.Errorf("-kubectl +skiff:\n%s", diff)
				}
				return nil
			})
		})
	}
}

const claimManifest = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteMany, ReadWriteOnce], resources: {requests: {storage: 100Mi}}}
`

// settle waits until what is written beside a rollout has been written.
func (i *instance) settle(t *testing.T) {
	t.Helper()
	last := ""
	eventually(t, func() error {
		now := must(t, i.skiff, "get", "all,events,endpointslices,pvc,pv", "-A", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
		if now == last {
			return nil
		}
		last = now
		return errUnsettled
	})
}

var (
	errUnsettled = errors.New("objects still change")

	ages   = regexp.MustCompile(`(?m)\b(\d+[dhms]){1,2}( \(x\d+ over (\d+[dhms]){1,2}\))?( |$)`)
	spaces = regexp.MustCompile(` {2,}`)
)

// ageless takes out what a moment later would be different, and the width of
// columns with it.
func ageless(r result) result {
	for _, text := range []*string{&r.out, &r.err} {
		*text = spaces.ReplaceAllString(ages.ReplaceAllString(*text, "AGE$4"), "  ")
	}
	return r
}
