package main

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"skiff/orchestrator"
)

func (p *program) url() *cobra.Command {
	return spec{
		name:     "url",
		short:    "print where this machine reaches a Service",
		args:     "service/NAME",
		examples: examples("skiff url service/web", "curl $(skiff url web | head -1)"),
		run: func(c *call) error {
			urls, err := p.urls(c)
			if err == nil {
				printf(p.Out, "%s\n", strings.Join(urls, "\n"))
			}
			return err
		},
	}.command()
}

func (p *program) open() *cobra.Command {
	return spec{
		name:     "open",
		short:    "open a Service in the browser",
		args:     "service/NAME",
		long:     "Where there is no browser, the URL is printed.",
		examples: examples("skiff open service/web"),
		run: func(c *call) error {
			urls, err := p.urls(c)
			if err != nil {
				return err
			}
			url := forBrowser(urls)
			if url == "" {
				return fmt.Errorf("no port of it is known to speak HTTP (name one \"http\", or give it appProtocol: http): it is reached at %s", strings.Join(urls, ", "))
			}
			name, args := opener(runtime.GOOS)
			if name, err = exec.LookPath(name); err != nil {
				printf(p.Out, "%s\n", url)
				return nil
			}
			if err := exec.CommandContext(c.ctx, name, append(args, url)...).Run(); err != nil {
				return fmt.Errorf("open %s: %w", url, err)
			}
			return nil
		},
	}.command()
}

// urls are those of the one Service that the command names.
func (p *program) urls(c *call) ([]string, error) {
	if len(c.args) != 1 {
		return nil, c.usage("one Service is expected: service/NAME")
	}
	r, err := p.request(c)
	if err != nil {
		return nil, err
	}
	b, err := r.builder(typed)
	if err != nil {
		return nil, err
	}
	infos, err := b.ResourceNames("services", c.args...).Flatten().Do().Infos()
	if err != nil {
		return nil, err
	}
	svc, ok := infos[0].Object.(*corev1.Service)
	if !ok {
		return nil, c.usage(fmt.Sprintf("%s is no Service", c.args[0]))
	}
	urls, err := urlsOf(svc)
	if err != nil || len(svc.Spec.Selector) == 0 { // who writes down where it leads knows
		return urls, err
	}
	client, err := r.clientset()
	if err != nil {
		return nil, err
	}
	slices, err := client.DiscoveryV1().EndpointSlices(svc.Namespace).List(c.ctx, metav1.ListOptions{
		LabelSelector: labels.Set{discoveryv1.LabelServiceName: svc.Name}.String(),
	})
	if err != nil {
		return nil, err
	}
	if !answered(slices.Items) {
		printf(p.ErrOut, "Warning: nobody answers there now: service/%s has no endpoint that is ready (skiff get pods -n %s -l %s)\n",
			svc.Name, svc.Namespace, labels.Set(svc.Spec.Selector))
	}
	return urls, nil
}

// answered says whether a Service leads anywhere. Over TCP a client would see a
// connection that ends, and not learn why.
func answered(all []discoveryv1.EndpointSlice) bool {
	for _, slice := range all {
		if len(slice.Ports) == 0 {
			continue // its Pods have no port of the name that the Service gives
		}
		for _, e := range slice.Endpoints {
			if ptr.Deref(e.Conditions.Ready, true) {
				return true
			}
		}
	}
	return false
}

// urlsOf are where the daemon says that a Service is reached, or what to do
// where it is not.
func urlsOf(svc *corev1.Service) ([]string, error) {
	if urls := strings.Fields(svc.Annotations[orchestrator.URLsAnnotation]); len(urls) > 0 {
		return urls, nil
	}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return nil, fmt.Errorf("service/%s is another name for %s", svc.Name, svc.Spec.ExternalName)
	case svc.Spec.Type == corev1.ServiceTypeClusterIP && len(svc.Spec.Ports) > 0:
		return nil, fmt.Errorf("service/%s is for Pods; this machine reaches it with: skiff port-forward -n %s service/%[1]s %[3]d", svc.Name, svc.Namespace, svc.Spec.Ports[0].Port)
	}
	return nil, errors.New("service/" + svc.Name + " is not reached yet: its events say why (skiff describe service/" + svc.Name + ")")
}

// forBrowser is the first that a browser can show.
func forBrowser(urls []string) string {
	for _, url := range urls {
		if strings.HasPrefix(url, "http") {
			return url
		}
	}
	return ""
}

// opener is the command by which a system shows a URL.
func opener(system string) (name string, args []string) {
	switch system {
	case "darwin":
		return "open", nil
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler"}
	}
	return "xdg-open", nil
}
