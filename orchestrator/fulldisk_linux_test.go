package orchestrator_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator"
	"skiff/orchestrator/disktest"
	"skiff/orchestrator/skifftest"
)

// TestSurvivesAFullDisk fills the disk that skiff's data is on. What it cannot
// store it refuses, and says where there is no room; what it has is read, Pods
// serve. A container that has ended meanwhile runs again, and writes are taken,
// once there is room: nothing is lost and nobody has to start skiff again.
func TestSurvivesAFullDisk(t *testing.T) {
	t.Parallel()
	images(t)
	disk := disktest.New(t, 64<<20)
	i := skifftest.New(t, func(o *orchestrator.Options) { o.DataDir = filepath.Join(disk.Dir, "data") })
	i.Deploy(t, web(1))
	before := oneReady(t, i)
	configMaps := i.Client.CoreV1().ConfigMaps(skifftest.Namespace)
	write := func(n int) error {
		_, err := configMaps.Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("written-%d", n)},
			Data:       map[string]string{"data": strings.Repeat("x", 500_000)},
		}, metav1.CreateOptions{})
		return err
	}
	written := func() (n int) {
		t.Helper()
		list, err := configMaps.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		for _, c := range list.Items {
			if strings.HasPrefix(c.Name, "written-") && len(c.Data["data"]) == 500_000 {
				n++
			}
		}
		return n
	}

	disk.Fill(t)
	accepted, err := 0, error(nil)
	for ; accepted < 100; accepted++ { // what is free within the store still takes some
		if err = write(accepted); err != nil {
			break
		}
	}
	var refused *apierrors.StatusError
	if !errors.As(err, &refused) || refused.ErrStatus.Code != http.StatusInsufficientStorage || !strings.Contains(err.Error(), disk.Dir) {
		t.Fatalf("a write to a full disk, after %d: %v", accepted, err)
	}
	t.Logf("after %d writes: %v", accepted, err)
	if n := written(); n != accepted {
		t.Errorf("%d objects are there, %d were accepted", n, accepted)
	}
	eventually(t, "the Pod answers while the disk is full", func() bool { return answers(t, before.Status.PodIP) })
	dockerDo(t, "kill "+containerID(&before))
	dockerDo(t, "wait "+containerID(&before))

	disk.Free(t)
	if err := write(accepted); err != nil {
		t.Errorf("with room again: %v", err)
	}
	after := i.WaitPods(t, "app=web", func(pods []corev1.Pod) bool {
		return len(pods) == 1 && podReady(&pods[0]) && pods[0].Status.ContainerStatuses[0].RestartCount == 1
	})[0]
	if after.UID != before.UID {
		t.Errorf("Pod %s was %s", after.UID, before.UID)
	}
	eventually(t, "the Pod answers with room again", func() bool { return answers(t, after.Status.PodIP) })
	if n := written(); n != accepted+1 {
		t.Errorf("%d objects are there, want %d", n, accepted+1)
	}
}
