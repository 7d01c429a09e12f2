package docker

import (
	"net/http"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"

	"skiff/runtime/enginetest"
)

func TestScenarios(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, func(t *testing.T) enginetest.Lab {
		e := newEngine(t)
		return enginetest.Lab{
			Engine:    e,
			ImageName: testImage,
			OOM:       func(t *testing.T, id string) { starve(t, e, id) },
			Vanish: func(t *testing.T, id string) {
				if err := e.api.ContainerRemove(t.Context(), engineID(id), dockercontainer.RemoveOptions{Force: true}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// starve limits a container's memory and makes its program ask for more.
func starve(t *testing.T, e *Engine, id string) {
	t.Helper()
	limit := dockercontainer.Resources{Memory: 64 << 20, MemorySwap: 64 << 20}
	if _, err := e.api.ContainerUpdate(t.Context(), engineID(id), dockercontainer.UpdateConfig{Resources: limit}); err != nil {
		t.Fatal(err)
	}
	s, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: e.DialContext, DisableKeepAlives: true}}
	if r, err := client.Get("http://" + s.Address.String() + ":8080/eat"); err == nil {
		r.Body.Close()
		t.Fatal("the program got all the memory it wanted")
	}
}
