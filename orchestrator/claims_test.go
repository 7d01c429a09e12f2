package orchestrator_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/skifftest"
	"skiff/runtime/container"
)

func claimObject(name string, class *string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			StorageClassName: class,
		},
	}
}

func claimVolume(name string) map[string]corev1.VolumeSource {
	return map[string]corev1.VolumeSource{"data": {PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}
}

// scratchVolume is a claim that is made for the Pod.
func scratchVolume() map[string]corev1.VolumeSource {
	return map[string]corev1.VolumeSource{"scratch": {Ephemeral: &corev1.EphemeralVolumeSource{
		VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"for": "one"}}, Spec: claimObject("", nil).Spec,
		},
	}}}
}

// TestClaims: storage outlives Pods, and goes with its claim.
func TestClaims(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	t.Run("life", func(t *testing.T) { t.Parallel(); testClaimLife(t, s) })
	t.Run("retain", func(t *testing.T) { t.Parallel(); testClaimRetain(t, s) })
	t.Run("class", func(t *testing.T) { t.Parallel(); testClaimClass(t, s) })
	t.Run("ephemeral", func(t *testing.T) { t.Parallel(); testEphemeralClaim(t, s) })
	t.Run("unused", func(t *testing.T) { t.Parallel(); testEphemeralClaimThatNobodyUsed(t, s) })
	t.Run("rollout", func(t *testing.T) { t.Parallel(); testClaimRollout(t, s) })
	t.Run("for one Pod", func(t *testing.T) { t.Parallel(); testClaimForOnePod(t, s) })
	t.Run("rollout for one Pod", func(t *testing.T) { t.Parallel(); testClaimForOnePodRollout(t, s) })
}

func testClaimLife(t *testing.T, s stage) {
	claims, pods := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace), s.Client.CoreV1().Pods(skifftest.Namespace)
	s.create(t, volumePod("first", claimVolume("data")))
	s.untilEvent(t, "first", `FailedScheduling: 0/1 nodes are available: persistentvolumeclaim "data" not found.`)
	if _, err := claims.Create(t.Context(), claimObject("data", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	first := s.ready(t, "first")
	if _, err := s.inside(t, first, "write", "/data/kept", "here"); err != nil {
		t.Fatal(err)
	}
	c, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
	if err != nil || c.Status.Phase != corev1.ClaimBound || c.Spec.VolumeName == "" || *c.Spec.StorageClassName != "standard" {
		t.Fatalf("claim: %+v, %v", c, err)
	}
	v, err := s.Client.CoreV1().PersistentVolumes().Get(t.Context(), c.Spec.VolumeName, metav1.GetOptions{})
	if err != nil || v.Spec.ClaimRef.UID != c.UID {
		t.Errorf("volume: %+v, %v", v, err)
	}

	// A claim in use stays, though it is to go.
	if err := claims.Delete(t.Context(), "data", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if c, err = claims.Get(t.Context(), "data", metav1.GetOptions{}); err != nil || c.DeletionTimestamp == nil {
		t.Fatalf("a claim in use: %+v, %v", c, err)
	}
	s.shows(t, first, "/data/kept -rw-r--r-- 65534:65534 here")
	if err := pods.Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "claim and volume are gone", func() bool {
		ctx := t.Context()
		_, claimErr := claims.Get(ctx, "data", metav1.GetOptions{})
		_, volumeErr := s.Client.CoreV1().PersistentVolumes().Get(ctx, v.Name, metav1.GetOptions{})
		list, err := s.engine.Volumes(ctx)
		for _, kept := range list {
			if kept.Name == v.Name {
				return false
			}
		}
		return err == nil && apierrors.IsNotFound(claimErr) && apierrors.IsNotFound(volumeErr)
	})
}

// A claim that is made for a Pod goes with it; one that happens to be called so is
// not taken for it, and makes room for it when it goes.
func testEphemeralClaim(t *testing.T, s stage) {
	claims, pods := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace), s.Client.CoreV1().Pods(skifftest.Namespace)
	template := scratchVolume()
	if _, err := claims.Create(t.Context(), claimObject("other-scratch", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.create(t, volumePod("other", template))
	s.untilEvent(t, "other", "FailedScheduling: 0/1 nodes are available: PVC default/other-scratch was not created for pod default/other (pod is not owner).")
	s.create(t, volumePod("one", template))
	pod := s.ready(t, "one")
	if _, err := s.inside(t, pod, "write", "/scratch/kept", "here"); err != nil {
		t.Fatal(err)
	}
	c, err := claims.Get(t.Context(), "one-scratch", metav1.GetOptions{})
	if err != nil || !metav1.IsControlledBy(c, pod) || c.Labels["for"] != "one" || c.Status.Phase != corev1.ClaimBound {
		t.Fatalf("claim: %+v, %v", c, err)
	}
	if err := pods.Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "claim and volume are gone", func() bool {
		_, claimErr := claims.Get(t.Context(), "one-scratch", metav1.GetOptions{})
		list, err := s.engine.Volumes(t.Context())
		return err == nil && apierrors.IsNotFound(claimErr) && !slices.ContainsFunc(list, func(v container.Volume) bool { return v.Name == c.Spec.VolumeName })
	})
	if c, err := claims.Get(t.Context(), "other-scratch", metav1.GetOptions{}); err != nil || metav1.GetControllerOf(c) != nil {
		t.Errorf("somebody else's claim: %+v, %v", c, err)
	}
	if err := claims.Delete(t.Context(), "other-scratch", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	other := s.ready(t, "other")
	if c, err := claims.Get(t.Context(), "other-scratch", metav1.GetOptions{}); err != nil || !metav1.IsControlledBy(c, other) {
		t.Errorf("its own claim: %+v, %v", c, err)
	}
}

// A Pod that never ran and waits for its dependents to go does not keep its own
// claim, which waits for the Pod.
func testEphemeralClaimThatNobodyUsed(t *testing.T, s stage) {
	claims, pods := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace), s.Client.CoreV1().Pods(skifftest.Namespace)
	pod := volumePod("nowhere", scratchVolume())
	pod.Spec.NodeSelector = map[string]string{"no": "where"}
	s.create(t, pod)
	eventually(t, "the claim is bound", func() bool {
		c, err := claims.Get(t.Context(), "nowhere-scratch", metav1.GetOptions{})
		return err == nil && c.Status.Phase == corev1.ClaimBound
	})
	if err := pods.Delete(t.Context(), "nowhere", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Pod and claim are gone", func() bool {
		_, podErr := pods.Get(t.Context(), "nowhere", metav1.GetOptions{})
		_, claimErr := claims.Get(t.Context(), "nowhere-scratch", metav1.GetOptions{})
		return apierrors.IsNotFound(podErr) && apierrors.IsNotFound(claimErr)
	})
}

// What is to be retained stays when its claim goes, for whoever wants to save it.
// A new claim of that name gets a volume of its own.
func testClaimRetain(t *testing.T, s stage) {
	claims, volumes := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace), s.Client.CoreV1().PersistentVolumes()
	renew := func() (volume string) {
		t.Helper()
		if _, err := claims.Create(t.Context(), claimObject("kept", nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		s.create(t, volumePod("keeper", claimVolume("kept")))
		s.ready(t, "keeper")
		c, err := claims.Get(t.Context(), "kept", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Spec.VolumeName
	}
	first := renew()
	if _, err := s.inside(t, s.ready(t, "keeper"), "write", "/data/kept", "here"); err != nil {
		t.Fatal(err)
	}
	if _, err := volumes.Patch(t.Context(), first, types.MergePatchType, []byte(`{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := claims.Delete(t.Context(), "kept", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.CoreV1().Pods(skifftest.Namespace).Delete(t.Context(), "keeper", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the volume is released", func() bool {
		v, err := volumes.Get(t.Context(), first, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return v.Status.Phase == corev1.VolumeReleased
	})
	if _, err := claims.Get(t.Context(), "kept", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the claim of a released volume: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--network", "none", "--volume", "skiff-"+s.Options.Name+"-"+first+":/data:ro",
		"--label", "skiff.instance="+s.Options.Name, "skiff-example/inside:1", "show", "/data/kept").CombinedOutput()
	if want := "/data/kept -rw-r--r-- 65534:65534 here\n"; err != nil || string(out) != want {
		t.Errorf("in the released volume: %q, want %q (%v)", out, want, err)
	}

	s.WaitPods(t, "app=keeper", func(pods []corev1.Pod) bool { return len(pods) == 0 })
	if second := renew(); second == first {
		t.Errorf("the new claim has volume %s, too", second)
	}
	s.shows(t, s.ready(t, "keeper"), "/data drwxrwxrwx 0:0")

	// To delete it is to say that nobody wants it.
	if err := volumes.Delete(t.Context(), first, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the released volume is gone", func() bool {
		_, err := volumes.Get(t.Context(), first, metav1.GetOptions{})
		list, listErr := s.engine.Volumes(t.Context())
		return listErr == nil && apierrors.IsNotFound(err) && !slices.ContainsFunc(list, func(v container.Volume) bool { return v.Name == first })
	})
}

func testClaimClass(t *testing.T, s stage) {
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace).Create(t.Context(), claimObject("fast", ptr.To("fast")), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.untilEvent(t, "fast", `ProvisioningFailed: storageclass.storage.k8s.io "fast" not found`)
	s.create(t, volumePod("waits", claimVolume("fast")))
	s.untilEvent(t, "waits", "FailedScheduling: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
	pod, err := s.Client.CoreV1().Pods(skifftest.Namespace).Get(t.Context(), "waits", metav1.GetOptions{})
	if err != nil || pod.Spec.NodeName != "" || pod.Status.Phase != corev1.PodPending {
		t.Errorf("Pod: %+v, %v", pod, err)
	}
	// It makes room for a claim of the right class, though a Pod waits for it.
	claims := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace)
	if err := claims.Delete(t.Context(), "fast", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the claim is gone", func() bool {
		_, err := claims.Get(t.Context(), "fast", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if _, err := claims.Create(t.Context(), claimObject("fast", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.ready(t, "waits")
}

// A Deployment whose Pods write to one claim ends the old before it starts the
// new, whatever its strategy, and says so.
func testClaimRollout(t *testing.T, s stage) {
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace).Create(t.Context(), claimObject("db", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	warned := &warnings{}
	config := rest.CopyConfig(s.Config)
	config.WarningHandler = warned
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	template := volumePod("db", claimVolume("db"))
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels}, Spec: template.Spec},
	}}
	if _, err := client.AppsV1().Deployments(skifftest.Namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(warned.text, `spec.template.spec.volumes[0]: claim "db" is written by the old and the new Pods`) {
		t.Errorf("warnings: %q", warned.text)
	}
	s.WaitRollout(t, "db")
	pod := s.ready(t, "db")
	if _, err := s.inside(t, pod, "write", "/data/kept", "here"); err != nil {
		t.Fatal(err)
	}
	w, err := s.Client.CoreV1().Pods(skifftest.Namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: "app=db", ResourceVersion: pod.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	s.Update(t, "db", func(d *appsv1.Deployment) { d.Spec.Template.Annotations = map[string]string{"new": "yes"} })
	s.WaitRollout(t, "db")
	s.shows(t, s.ready(t, "db"), "/data/kept -rw-r--r-- 65534:65534 here")
	for change := range w.ResultChan() {
		if change.Type == watch.Added {
			t.Fatal("a new Pod came before the old one was gone")
		}
		if change.Type == watch.Deleted {
			return
		}
	}
}

func claimForOnePod(name string) *corev1.PersistentVolumeClaim {
	c := claimObject(name, nil)
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	return c
}

// A second Pod with a claim that is for one waits until the first is gone.
func testClaimForOnePod(t *testing.T, s stage) {
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace).Create(t.Context(), claimForOnePod("alone"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := s.Client.CoreV1().Pods(skifftest.Namespace)
	s.create(t, volumePod("has", claimVolume("alone")))
	s.ready(t, "has")
	s.create(t, volumePod("wants", claimVolume("alone")))
	s.untilEvent(t, "wants", "FailedScheduling: 0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode. "+
		"no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.")
	if pod, err := pods.Get(t.Context(), "wants", metav1.GetOptions{}); err != nil || pod.Spec.NodeName != "" || pod.Status.Phase != corev1.PodPending {
		t.Errorf("Pod: %+v, %v", pod, err)
	}
	if err := pods.Delete(t.Context(), "has", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.ready(t, "wants")
}

// Pods that only read such a claim do not wait for each other in a rollout, either.
func testClaimForOnePodRollout(t *testing.T, s stage) {
	if _, err := s.Client.CoreV1().PersistentVolumeClaims(skifftest.Namespace).Create(t.Context(), claimForOnePod("solo"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	template := volumePod("solo", claimVolume("solo"))
	template.Spec.Containers[0].VolumeMounts[0].ReadOnly = true
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "solo"}, Spec: appsv1.DeploymentSpec{
		ProgressDeadlineSeconds: ptr.To[int32](60),
		Selector:                &metav1.LabelSelector{MatchLabels: template.Labels},
		Template:                corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels}, Spec: template.Spec},
	}}
	if _, err := s.Client.AppsV1().Deployments(skifftest.Namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.WaitRollout(t, "solo")
	s.Update(t, "solo", func(d *appsv1.Deployment) { d.Spec.Template.Annotations = map[string]string{"new": "yes"} })
	s.WaitRollout(t, "solo")
}

type warnings struct{ text string }

func (w *warnings) HandleWarningHeader(_ int, _, text string) { w.text += text + "\n" }
