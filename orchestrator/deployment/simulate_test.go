package deployment_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/kubectl/pkg/util/podutils"

	"skiff/orchestrator/resource"
	"skiff/orchestrator/rollout"
	"skiff/orchestrator/rollout/fakeapi"
)

// bounds watches the promise of a rolling update at every single change that
// the API sees: never fewer available Pods than replicas - maxUnavailable, never
// more Pods than replicas + maxSurge. A terminating Pod counts for neither, as
// in Kubernetes.
type bounds struct {
	minReady    int32
	least, most int32 // over all that the user asked for since the last rest
	crashed     int32 // Pods that the kubelet took away since the last rest
	resting     bool  // whether least was reached once
	broken      []string
}

func (b *bounds) allow(d *appsv1.Deployment) {
	b.least = min(b.least, rollout.Replicas(d)-rollout.MaxUnavailable(d))
	b.most = max(b.most, rollout.Replicas(d)+rollout.MaxSurge(d))
}

// rest starts anew with what the Deployment asks for now, once that is there.
func (b *bounds) rest(d *appsv1.Deployment) {
	b.least = rollout.Replicas(d) - rollout.MaxUnavailable(d)
	b.most = rollout.Replicas(d) + rollout.MaxSurge(d)
	b.crashed = 0
	b.resting = true
}

func (b *bounds) check(s fakeapi.State) {
	var pods, available int32
	for _, pod := range s.Pods {
		if !resource.IsActive(pod) {
			continue
		}
		pods++
		if rollout.IsAvailable(pod, b.minReady, time.Now()) {
			available++
		}
	}
	if pods > b.most {
		b.broken = append(b.broken, fmt.Sprintf("%d pods, at most %d allowed\n%s", pods, b.most, picture(s)))
	}
	if b.resting && available < b.least-b.crashed {
		b.broken = append(b.broken, fmt.Sprintf("%d available, at least %d promised, %d crashed\n%s", available, b.least, b.crashed, picture(s)))
	}
}

func picture(s fakeapi.State) string {
	var out strings.Builder
	for _, rs := range s.ReplicaSets {
		fmt.Fprintf(&out, "  %s size %d, status %d/%d available, generation %d/%d:", image(&rs.Spec.Template.Spec), *rs.Spec.Replicas,
			rs.Status.AvailableReplicas, rs.Status.Replicas, rs.Status.ObservedGeneration, rs.Generation)
		for _, pod := range s.Pods {
			switch {
			case !metav1.IsControlledBy(pod, rs):
			case pod.DeletionTimestamp != nil:
				out.WriteString(" terminating")
			case podutils.IsPodReady(pod):
				out.WriteString(" ready")
			default:
				out.WriteString(" unready")
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

// simulation is a cluster in which everything happens in random order: what the
// kubelet does, when the controllers hear of it, what the user wants.
type simulation struct {
	*cluster
	random   *rand.Rand
	bounds   *bounds
	crashes  bool
	calm     atomic.Bool // no hiccups
	revision int
	good     map[string]bool
}

func TestRolloutStaysInBounds(t *testing.T) {
	t.Parallel()
	settings := []struct {
		replicas           int32
		surge, unavailable intstr.IntOrString
	}{
		{1, intstr.FromInt32(1), intstr.FromInt32(0)},
		{1, intstr.FromInt32(0), intstr.FromInt32(1)},
		{1, intstr.FromString("25%"), intstr.FromString("25%")},
		{2, intstr.FromInt32(1), intstr.FromInt32(1)},
		{3, intstr.FromInt32(1), intstr.FromInt32(0)},
		{3, intstr.FromInt32(0), intstr.FromInt32(1)},
		{3, intstr.FromString("25%"), intstr.FromString("25%")},
		{4, intstr.FromString("100%"), intstr.FromInt32(0)},
		{5, intstr.FromInt32(2), intstr.FromInt32(1)},
		{5, intstr.FromInt32(0), intstr.FromString("50%")},
		{10, intstr.FromInt32(3), intstr.FromInt32(2)},
		{10, intstr.FromString("25%"), intstr.FromString("25%")},
	}
	rounds := uint64(6)
	if testing.Short() {
		rounds = 2
	}
	for i, s := range settings {
		for round := range rounds {
			seed := uint64(i)*1000 + round
			crashes, minReady := round%2 == 1, int32(round%3/2)
			t.Run(fmt.Sprintf("%d replicas, surge %s, unavailable %s, minReady %d, crashes %v, seed %d", s.replicas, s.surge.String(), s.unavailable.String(), minReady, crashes, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := newDeployment("web", s.replicas, func(d *appsv1.Deployment) {
						d.Spec.Strategy = rolling(s.surge, s.unavailable)
						d.Spec.MinReadySeconds = minReady
						d.Spec.RevisionHistoryLimit = new(int32(2))
					})
					simulate(t, d, seed, crashes)
				})
			})
		}
	}
}

func simulate(t *testing.T, d *appsv1.Deployment, seed uint64, crashes bool) {
	s := &simulation{
		cluster: start(t),
		random:  rand.New(rand.NewPCG(seed, seed)),
		bounds:  &bounds{minReady: d.Spec.MinReadySeconds},
		crashes: crashes,
		good:    map[string]bool{"web:1": true},
	}
	s.bounds.allow(d)
	s.api.Changed = s.bounds.check
	s.api.Intercept = s.hiccups(seed)
	s.create(d)
	s.converge()
	for range 6 {
		s.user()
		for range 60 {
			s.happen()
		}
		if s.random.IntN(2) == 0 {
			s.converge()
		}
		if len(s.bounds.broken) > 0 {
			break
		}
	}
	s.converge()
	if len(s.bounds.broken) > 0 {
		t.Errorf("out of bounds %d times, first:\n%s", len(s.bounds.broken), s.bounds.broken[0])
	}
}

// hiccups fails every fifth write, which is tried again a little later: so what
// one controller does can come long after what the other makes of it.
func (s *simulation) hiccups(seed uint64) func(clienttesting.Action) error {
	random := rand.New(rand.NewPCG(seed, 1))
	return func(action clienttesting.Action) error {
		switch action.GetVerb() {
		case "create", "update", "delete":
			if action.GetResource().Resource != fakeapi.Deployments && !s.calm.Load() && random.IntN(5) == 0 {
				return apierrors.NewInternalError(errors.New("hiccup"))
			}
		}
		return nil
	}
}

// user asks for something new; bad templates are among it.
func (s *simulation) user() {
	s.api.Edit(namespace, "web", func(d *appsv1.Deployment) {
		switch s.random.IntN(6) {
		case 0, 1, 2:
			s.revision++
			name := fmt.Sprintf("web:%d", s.revision+1)
			s.good[name] = s.random.IntN(3) > 0
			d.Spec.Template.Spec.Containers[0].Image = name
		case 3: // back to one of the earlier ones
			d.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("web:%d", 1+s.random.IntN(s.revision+1))
		case 4:
			d.Spec.Replicas = new(int32(1 + s.random.IntN(10)))
			s.bounds.allow(d)
		default:
			d.Spec.Paused = !d.Spec.Paused
		}
	})
}

// happen lets one thing happen, and mostly gives the controllers time to act.
func (s *simulation) happen() {
	resources := []string{fakeapi.Deployments, fakeapi.ReplicaSets, fakeapi.Pods}
	resource := resources[s.random.IntN(len(resources))]
	switch s.random.IntN(6) {
	case 0:
		s.api.Hold(resource)
	case 1, 2:
		s.api.Show(resource, 1+s.random.IntN(4))
	default:
		s.touchPod()
	}
	switch s.random.IntN(3) {
	case 0:
		synctest.Wait()
	case 1:
		time.Sleep(time.Duration(s.random.IntN(30)) * time.Millisecond)
	}
}

func (s *simulation) touchPod() {
	pods := s.api.State().Pods
	if len(pods) == 0 {
		return
	}
	pod := pods[s.random.IntN(len(pods))]
	switch {
	case pod.DeletionTimestamp != nil:
		s.api.Finish(namespace, pod.Name)
	case resource.IsFinished(pod):
	case pod.Spec.NodeName == "":
		s.ready(pod, false)
	case !podutils.IsPodReady(pod):
		if s.good[image(&pod.Spec)] {
			s.ready(pod, true)
		}
	case s.crashes && s.random.IntN(4) == 0:
		s.bounds.crashed++
		if s.random.IntN(4) > 0 {
			s.ready(pod, false)
			return
		}
		s.api.SetPod(namespace, pod.Name, func(pod *corev1.Pod) {
			setReady(pod, false)
			pod.Status.Phase = corev1.PodFailed
		})
	}
}

// converge lets everything through, ends with a template that works, and waits
// until the rollout is complete.
func (s *simulation) converge() {
	s.t.Helper()
	for _, resource := range []string{fakeapi.Deployments, fakeapi.ReplicaSets, fakeapi.Pods} {
		s.api.Release(resource)
	}
	s.calm.Store(true)
	defer s.calm.Store(false)
	time.Sleep(10 * time.Second) // of the bubble's time; retries are due before
	isGood := func(image string) bool { return s.good[image] }
	s.api.Edit(namespace, "web", func(d *appsv1.Deployment) {
		d.Spec.Paused = false
		if current := &d.Spec.Template.Spec.Containers[0]; !isGood(current.Image) {
			current.Image = "web:1"
		}
	})
	s.settle()
	d := s.deployment("web")
	for range 30 { // one round of minReadySeconds for each Pod replaced
		s.kubelet(isGood)
		if d = s.deployment("web"); rollout.IsComplete(d, &d.Status) {
			break
		}
		time.Sleep(3 * time.Second)
	}
	if !rollout.IsComplete(d, &d.Status) {
		s.t.Fatalf("not complete: %+v\n%s", d.Status, picture(s.api.State()))
	}
	if n := len(s.pods(image(&d.Spec.Template.Spec))); n != int(rollout.Replicas(d)) || n != len(slices.DeleteFunc(s.api.State().Pods, resource.IsFinished)) {
		s.t.Fatalf("%d pods of the current template, want %d and no others\n%s", n, rollout.Replicas(d), picture(s.api.State()))
	}
	s.bounds.rest(d)
}
