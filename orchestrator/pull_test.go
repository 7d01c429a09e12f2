package orchestrator_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/skifftest"
)

// registry serves one image of the engine's to one user. An engine pulls from
// the loopback address without TLS.
type registry struct {
	*httptest.Server
	blobs    map[string][]byte // by digest
	manifest []byte
	hangs    chan struct{} // repository "slow" answers once it is closed
	asked    chan struct{} // and was asked
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

func newRegistry(t *testing.T, image string) *registry {
	t.Helper()
	r := &registry{blobs: map[string][]byte{}, hangs: make(chan struct{}), asked: make(chan struct{}, 1)}
	r.load(t, image)
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		close(r.hangs)
		r.Close()
	})
	return r
}

// image names the served image in the repository.
func (r *registry) image(repository string) string {
	return strings.TrimPrefix(r.URL, "http://") + "/" + repository + ":1"
}

// load takes an image over from the engine.
func (r *registry) load(t *testing.T, image string) {
	t.Helper()
	saved, err := exec.CommandContext(t.Context(), "docker", "save", image).Output()
	if err != nil {
		t.Fatalf("docker save %s: %v", image, err)
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(bytes.NewReader(saved)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	var index []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &index); err != nil || len(index) != 1 {
		t.Fatalf("docker save %s: manifest.json: %v", image, err)
	}
	var layers []map[string]any
	for _, layer := range index[0].Layers {
		layers = append(layers, r.add("application/vnd.docker.image.rootfs.diff.tar.gzip", packed(t, files[layer])))
	}
	r.manifest, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": r.add("application/vnd.docker.container.image.v1+json", files[index[0].Config]), "layers": layers,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// add keeps a blob and describes it.
func (r *registry) add(kind string, blob []byte) map[string]any {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	r.blobs[digest] = blob
	return map[string]any{"mediaType": kind, "size": len(blob), "digest": digest}
}

func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if user, password, _ := req.BasicAuth(); user != "owner" || password != "s3cret" {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	at := strings.LastIndex(req.URL.Path, "/")
	switch digest := req.URL.Path[at+1:]; {
	case req.URL.Path == "/v2/":
	case strings.HasPrefix(req.URL.Path, "/v2/slow/"):
		select {
		case r.asked <- struct{}{}:
		default:
		}
		select {
		case <-r.hangs:
		case <-req.Context().Done():
		}
	case strings.Contains(req.URL.Path, "/manifests/"):
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(r.manifest)))
		_, _ = w.Write(r.manifest)
	case r.blobs[digest] == nil:
		http.NotFound(w, req)
	default:
		_, _ = w.Write(r.blobs[digest])
	}
}

// TestPull pulls from a registry that asks who one is.
func TestPull(t *testing.T) {
	t.Parallel()
	images(t)
	i := skifftest.New(t)
	r := newRegistry(t, "skiff-example/inside:1")
	host := strings.TrimPrefix(r.URL, "http://")
	for name, password := range map[string]string{"right": "s3cret", "wrong": "guess"} {
		config := fmt.Sprintf(`{"auths": {%q: {"username": "owner", "password": %q}}}`, host, password)
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
			StringData: map[string]string{corev1.DockerConfigJsonKey: config}}
		if _, err := i.Client.CoreV1().Secrets(skifftest.Namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	pods := i.Client.CoreV1().Pods(skifftest.Namespace)
	start := func(t *testing.T, name, image string, secrets ...string) {
		t.Helper()
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "inside", Image: image}}}}
		for _, s := range secrets {
			p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
		}
		if _, err := pods.Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("denied", func(t *testing.T) {
		for name, secrets := range map[string][]string{"nobody": nil, "thief": {"wrong"}} {
			start(t, name, r.image("app"), secrets...)
			p := i.WaitPod(t, name, waitsFor("ImagePullBackOff"))
			message := p.Status.ContainerStatuses[0].State.Waiting.Message
			if !strings.Contains(message, fmt.Sprintf("Back-off pulling image %q: ErrImagePull: pull image %q", r.image("app"), r.image("app"))) ||
				!strings.Contains(message, "docker login") {
				t.Errorf("%s is told %q", name, message)
			}
		}
	})
	t.Run("allowed", func(t *testing.T) {
		t.Cleanup(func() {
			if out, err := exec.Command("docker", "rmi", "--force", r.image("app")).CombinedOutput(); err != nil {
				t.Errorf("docker rmi: %v: %s", err, out)
			}
		})
		start(t, "owner", r.image("app"), "wrong", "right")
		i.WaitPod(t, "owner", running)
		want := fmt.Sprintf("Successfully pulled image %q in ", r.image("app"))
		eventually(t, "an event tells of the pull", func() bool {
			events, err := i.Client.CoreV1().Events(skifftest.Namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=owner,reason=Pulled"})
			return err == nil && len(events.Items) == 1 && strings.HasPrefix(events.Items[0].Message, want) && strings.Contains(events.Items[0].Message, "Image size: ")
		})

		// Its image is taken away: the Pod runs on, and has it pulled again for its
		// container's next attempt.
		before := i.WaitPod(t, "owner", running)
		dockerDo(t, "rmi --force "+r.image("app"))
		dockerDo(t, "kill "+containerID(before))
		after := i.WaitPod(t, "owner", func(p *corev1.Pod) bool {
			return running(p) && p.Status.ContainerStatuses[0].RestartCount == 1
		})
		if containerID(after) == containerID(before) || after.Status.ContainerStatuses[0].ImageID != before.Status.ContainerStatuses[0].ImageID {
			t.Errorf("container %s of image %s became %s of %s", containerID(before), before.Status.ContainerStatuses[0].ImageID,
				containerID(after), after.Status.ContainerStatuses[0].ImageID)
		}
		dockerDo(t, "image inspect "+r.image("app"))
		if err := pods.Delete(t.Context(), "owner", *metav1.NewDeleteOptions(0)); err != nil {
			t.Error(err)
		}
	})
	// A pull that hangs keeps nobody else waiting, and ends with its Pod.
	t.Run("hangs", func(t *testing.T) {
		start(t, "patient", r.image("slow"), "right")
		select {
		case <-r.asked:
		case <-time.After(patience):
			t.Fatal("the registry is not asked")
		}
		start(t, "other", "skiff-example/inside:1")
		i.WaitPod(t, "other", running)
		if err := pods.Delete(t.Context(), "patient", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		i.WaitPods(t, "", func(list []corev1.Pod) bool {
			for _, p := range list {
				if p.Name == "patient" {
					return false
				}
			}
			return true
		})
	})
}
