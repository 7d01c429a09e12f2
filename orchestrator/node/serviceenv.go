package node

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// serviceEnvironment are the variables that tell a Pod of the Services in its
// namespace, where it wants them, and always of the API.
func serviceEnvironment(pod *corev1.Pod, services []*corev1.Service) map[string]string {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	chosen := map[string]*corev1.Service{}
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		api := s.Namespace == corev1.NamespaceDefault && s.Name == "kubernetes"
		switch {
		case s.Namespace == pod.Namespace && links:
			chosen[s.Name] = s
		case api && chosen[s.Name] == nil: // a namesake in the Pod's own namespace comes first
			chosen[s.Name] = s
		}
	}
	env := map[string]string{}
	for _, s := range chosen {
		describeService(s, env)
	}
	return env
}

// describeService sets the variables of one Service, among them those that
// Docker once set for a linked container.
func describeService(s *corev1.Service, env map[string]string) {
	ip, name := s.Spec.ClusterIP, variableName(s.Name)
	for i, p := range s.Spec.Ports {
		port := strconv.Itoa(int(p.Port))
		protocol := cmp.Or(string(p.Protocol), string(corev1.ProtocolTCP))
		url := strings.ToLower(protocol) + "://" + net.JoinHostPort(ip, port)
		if i == 0 {
			env[name+"_SERVICE_HOST"] = ip
			env[name+"_SERVICE_PORT"] = port
			env[name+"_PORT"] = url
		}
		if p.Name != "" {
			env[name+"_SERVICE_PORT_"+variableName(p.Name)] = port
		}
		link := fmt.Sprintf("%s_PORT_%s_%s", name, port, strings.ToUpper(protocol))
		env[link] = url
		env[link+"_PROTO"] = strings.ToLower(protocol)
		env[link+"_PORT"] = port
		env[link+"_ADDR"] = ip
	}
}

func variableName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
