package resource

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func serviceRow(svc *corev1.Service) []any {
	return []any{
		svc.Name, string(svc.Spec.Type), cmp.Or(svc.Spec.ClusterIP, "<none>"), externalIP(svc),
		servicePorts(svc.Spec.Ports), age(svc.CreationTimestamp, time.Now()), labels.FormatLabels(svc.Spec.Selector),
	}
}

func externalIP(svc *corev1.Service) string {
	ips := svc.Spec.ExternalIPs
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return svc.Spec.ExternalName
	}
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return cmp.Or(strings.Join(ips, ","), "<none>")
	}
	var at []string
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		at = append(at, cmp.Or(ingress.IP, ingress.Hostname))
	}
	return cmp.Or(strings.Join(append(at, ips...), ","), "<pending>")
}

func servicePorts(ports []corev1.ServicePort) string {
	shown := make([]string, len(ports))
	for i, p := range ports {
		shown[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.NodePort > 0 {
			shown[i] = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		}
	}
	return cmp.Or(strings.Join(shown, ","), "<none>")
}
