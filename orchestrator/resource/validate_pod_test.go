package resource

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// podTests are about fields of the Pod that are not its containers' or its
// volumes'.
func podTests() []refusal {
	refuse := func(f, value string) refusal {
		return refusal{"spec: {" + f + ": " + value + "}", []string{"spec." + f + ": Forbidden: not supported by skiff yet"}}
	}
	limited := func(name, cpu string) string {
		return "{name: " + name + ", image: nginx, resources: {limits: {cpu: " + cpu + "}}}"
	}
	const sideBySide = `spec.resources.limits[cpu]: Forbidden: not supported by skiff for containers that run side by side, unless…`
	return []refusal{
		{"metadata: {name: Bad_Name}", []string{`metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of…`}},
		{"metadata: {name: null}", []string{`metadata.name: Required value: name or generateName is required`}},
		{"metadata: {namespace: null}", []string{`metadata.namespace: Required value`}},
		{"metadata: {labels: {'a b': c}}", []string{`metadata.labels: Invalid value: "a b": name part must consist of alphanumeric…`}},
		{"metadata: {annotations: {'a b': c}}", []string{`metadata.annotations: Invalid value: "a b": name part must consist of alphanumeric…`}},
		{"metadata: {annotations: {controller.kubernetes.io/pod-deletion-cost: high}}", []string{
			`metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "high": must be a 32bit integer`,
		}},
		{"metadata: {annotations: {skiff.dev/drain-seconds: '-1'}}", []string{
			`metadata.annotations[skiff.dev/drain-seconds]: Invalid value: "-1": must be a whole number of seconds between 0 and 3600`,
		}},
		{"metadata: {annotations: {skiff.dev/drain-seconds: '60'}}", nil},

		{"spec: {restartPolicy: Sometimes}", []string{`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"`}},
		{"spec: {restartPolicy: Never, terminationGracePeriodSeconds: 0}", nil},
		{"spec: {dnsPolicy: Cloud}", []string{`spec.dnsPolicy: Unsupported value: "Cloud": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"`}},
		{"spec: {hostNetwork: true, hostIPC: true, hostPID: true, activeDeadlineSeconds: 5, hostname: a, subdomain: db, setHostnameAsFQDN: true}", nil},
		{"spec: {hostPID: true, shareProcessNamespace: true}", []string{
			`spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled`,
		}},
		{"spec: {hostAliases: [{ip: here, hostnames: [a, A]}]}", []string{
			`spec.hostAliases[0].ip: Invalid value: "here": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
			`spec.hostAliases[0].hostnames[1]: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of…`,
		}},
		{"spec: {dnsPolicy: None, dnsConfig: {searches: [a]}}", []string{
			"spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
		}},
		{"spec: {dnsConfig: {nameservers: [here], searches: [., a_b.c., A], options: [{value: '5'}]}}", []string{
			`spec.dnsConfig.nameservers[0]: Invalid value: "here": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
			`spec.dnsConfig.searches[2]: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of…`,
			`spec.dnsConfig.options[0]: Required value: must not be empty`,
		}},
		{"spec: {dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]}}", []string{
			`spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4"]: must not have more than 3 nameservers`,
		}},
		{"spec: {initContainers: [{name: i, image: nginx}, {name: s, image: nginx, restartPolicy: Always, startupProbe: {exec: {command: [x]}}}]}", nil},
		{"spec: {initContainers: [{name: c, image: ''}, {name: i, image: nginx, restartPolicy: Never, startupProbe: {exec: {command: [x]}}, lifecycle: {preStop: {sleep: {seconds: 1}}}}]}", []string{
			`spec.initContainers[0].image: Required value`,
			`spec.initContainers[0].name: Duplicate value: "c"`,
			`spec.initContainers[1].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always`,
			`spec.initContainers[1].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always`,
		}},
		{"spec: {dnsPolicy: None}", []string{"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"}},
		{"spec: {hostname: A}", []string{`spec.hostname: Invalid value: "A": a lowercase RFC 1123 label must consist of…`}},
		{"spec: {hostname: db-0}", nil},
		{"spec: {serviceAccountName: A}", []string{`spec.serviceAccountName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of…`}},
		{"spec: {nodeName: other}", []string{`spec.nodeName: Unsupported value: "other": supported values: "skiff"`}},
		{"spec: {nodeName: skiff}", nil},
		{"spec: {activeDeadlineSeconds: 0}", []string{
			`spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive`,
		}},
		{"spec: {nodeSelector: {a: 'b c'}}", []string{`spec.nodeSelector: Invalid value: "b c": a valid label must be…`}},
		{"spec: {preemptionPolicy: Sometimes}", []string{`spec.preemptionPolicy: Unsupported value: "Sometimes": supported values: "PreemptLowerPriority", "Never"`}},
		{"spec: {tolerations: [{operator: Equal}]}", []string{
			"spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
		}},
		{"spec: {tolerations: [{key: a, operator: Exists, value: b, effect: Never}]}", []string{
			"spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
			`spec.tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
		}},
		{"spec: {topologySpreadConstraints: [{maxSkew: 0, whenUnsatisfiable: Cry}]}", []string{
			`spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero`,
			`spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty`,
			`spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Cry": supported values: "DoNotSchedule", "ScheduleAnyway"`,
		}},
		{"spec: {affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, podAffinityTerm: {}}]}}}", []string{
			`spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100`,
			`spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: Required value: can not be empty`,
		}},
		{"spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}}", []string{
			`spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term`,
		}},

		{"spec: {hostNetwork: false, hostUsers: true, shareProcessNamespace: false, os: {name: linux}, hostAliases: [], overhead: {}}", nil},
		{"spec: {ephemeralContainers: [{name: e, image: nginx}]}", []string{`spec.ephemeralContainers: Forbidden: cannot be set on create`}},
		{"spec: {hostUsers: false}", []string{`spec.hostUsers: Forbidden: not supported by skiff: the Docker Engine has no user namespaces for single Pods`}},
		{"spec: {hostUsers: false, containers: [{name: c, image: nginx, securityContext: {procMount: Unmasked}}]}", []string{
			`spec.containers[0].securityContext.procMount: Forbidden: not supported by skiff: it needs hostUsers: false`,
			`spec.hostUsers: Forbidden: not supported by skiff: the Docker Engine has no user namespaces for single Pods`,
		}},
		{"spec: {readinessGates: [{conditionType: a/b}]}", nil},
		{"spec: {readinessGates: [{conditionType: a b}]}", []string{`spec.readinessGates[0].conditionType: Invalid value: "a b": name part must consist of alphanumeric…`}},
		{"spec: {schedulingGates: [{name: a/b}], imagePullSecrets: [{name: s}]}", nil},
		{"spec: {nodeName: skiff, schedulingGates: [{name: a/b}, {name: a/b}, {name: -}]}", []string{
			`spec.schedulingGates[1].name: Duplicate value: "a/b"`,
			`spec.schedulingGates[2].name: Invalid value: "-": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			`spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared`,
		}},
		refuse("runtimeClassName", "gvisor"),
		refuse("overhead", "{cpu: 1}"),
		{"spec: {resources: {limits: {cpu: 1, memory: 64Mi}, requests: {cpu: 100m}}, initContainers: [{name: i, image: nginx}]}", nil},
		{"spec: {resources: {limits: {ephemeral-storage: 1Gi}, requests: {nvidia.com/gpu: 1}}}", []string{
			`spec.resources.limits: Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-", "memory"`,
			`spec.resources.requests: Unsupported value: "nvidia.com/gpu": supported values: "cpu", "hugepages-", "memory"`,
		}},
		{"spec: {resources: {limits: {cpu: 1, memory: 1Mi}, requests: {cpu: 2}, claims: [{name: gpu}]}}", []string{
			`spec.resources.limits[memory]: Invalid value: "1Mi": must be at least 6Mi, the Docker Engine's minimum`,
			`spec.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`,
			`spec.resources.claims: Forbidden: not supported by skiff yet`,
		}},
		{"spec: {resources: {limits: {cpu: 1}, requests: {cpu: 100m}}, containers: [{name: c, image: nginx, resources: {limits: {cpu: 2}, requests: {cpu: 200m}}}]}", []string{
			`spec.resources.requests[cpu]: Invalid value: "100m": must be greater than or equal to aggregate container requests of 200m`,
			`spec.containers[0].resources.limits[cpu]: Invalid value: "2": must be less than or equal to pod limits of 1`,
		}},
		{"spec: {resources: {limits: {cpu: 1}}, containers: [" + limited("a", "500m") + ", " + limited("b", "500m") + "]}", nil},
		{"spec: {resources: {limits: {cpu: 1}}, containers: [" + limited("a", "500m") + ", " + limited("b", "501m") + "]}", []string{
			`spec.resources.requests: Invalid value: "1001m": must be less than or equal to cpu limit of 1`, sideBySide,
		}},
		{"spec: {resources: {limits: {cpu: 1}}, containers: [" + limited("a", "500m") + ", {name: b, image: nginx}]}", []string{sideBySide}},
		{"spec: {resources: {limits: {cpu: 1}}, initContainers: [{name: s, image: nginx, restartPolicy: Always}]}", []string{sideBySide}},
		{"spec: {resources: {requests: {cpu: 1}}, containers: [{name: a, image: nginx}, {name: b, image: nginx}]}", nil},
		refuse("resourceClaims", "[{name: gpu, resourceClaimName: gpu}]"),
		refuse("hostnameOverride", "db"),
		{"spec: {os: {name: windows}}", []string{`spec.os.name: Forbidden: not supported by skiff yet`}},
		{"spec: {securityContext: {runAsUser: 1, runAsGroup: 2, runAsNonRoot: true, fsGroup: 1, fsGroupChangePolicy: OnRootMismatch, supplementalGroups: [3], " +
			"supplementalGroupsPolicy: Merge, seLinuxOptions: {level: s0}, seccompProfile: {type: RuntimeDefault}, appArmorProfile: {type: Unconfined}, " +
			"sysctls: [{name: net/core/somaxconn, value: a}, {name: kernel.sem, value: b}]}}", nil},
		{"spec: {securityContext: {supplementalGroupsPolicy: Strict, runAsGroup: 1, seccompProfile: {type: Localhost, localhostProfile: a/b.json}}}", nil},
		{"spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: /a}}}", []string{
			`spec.securityContext.seccompProfile.localhostProfile: Invalid value: "/a": must be a relative path`,
		}},
		{"spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: a/../b}}}", []string{
			`spec.securityContext.seccompProfile.localhostProfile: Invalid value: "a/../b": must not contain '..'`,
		}},
		{"spec: {securityContext: {runAsUser: -1, fsGroup: 2147483648, supplementalGroups: [-1], fsGroupChangePolicy: Never, " +
			"sysctls: [{name: vm.swappiness, value: '1'}, {name: Net, value: b}, {name: net.a, value: a}, {name: net/a, value: a}, {value: a}]}}", []string{
			`spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive`,
			`spec.securityContext.fsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive`,
			`spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive`,
			`spec.securityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "Always", "OnRootMismatch"`,
			`spec.securityContext.sysctls[0].name: Forbidden: not supported by skiff: the parameter belongs to the whole machine`,
			`spec.securityContext.sysctls[1].name: Invalid value: "Net": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`,
			`spec.securityContext.sysctls[3].name: Duplicate value: "net/a"`,
			`spec.securityContext.sysctls[4].name: Required value`,
		}},
		{"spec: {hostNetwork: true, securityContext: {sysctls: [{name: kernel.sem, value: b}, {name: net/core/somaxconn, value: a}]}}", []string{
			`spec.securityContext.sysctls[1].name: Invalid value: "net/core/somaxconn": may not be set with 'hostNetwork' enabled`,
		}},
		{"spec: {hostIPC: true, securityContext: {sysctls: [{name: net.a, value: a}, {name: kernel.sem, value: b}]}}", []string{
			`spec.securityContext.sysctls[1].name: Invalid value: "kernel.sem": may not be set with 'hostIPC' enabled`,
		}},
		{"spec: {securityContext: {supplementalGroupsPolicy: Strict, windowsOptions: {hostProcess: false}, seccompProfile: {type: Localhost}, " +
			"appArmorProfile: {type: Unconfined, localhostProfile: a}}}", []string{
			`spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost`,
			`spec.securityContext.appArmorProfile.localhostProfile: Invalid value: "a": can only be set when AppArmor type is Localhost`,
			`spec.securityContext.supplementalGroupsPolicy: Forbidden: Strict is not supported by skiff without runAsGroup, which container "c" does not have: the Docker Engine would add the image's groups`,
			`spec.securityContext.windowsOptions: Forbidden: not supported by skiff yet`,
			`spec.securityContext.appArmorProfile.localhostProfile: Forbidden: not supported by skiff yet`,
		}},
	}
}

func TestValidatePodUpdate(t *testing.T) {
	t.Parallel()
	const onlyThese = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`," +
		"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
		"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n…"
	tests := []struct {
		name, old, patch string
		want             []string
	}{
		{"image", "", "spec: {containers: [{name: c, image: 'nginx:1.27'}]}", nil},
		{"labels", "", "metadata: {labels: {a: b}}", nil},
		{"node without a binding", "", "spec: {nodeName: skiff}", []string{onlyThese}},
		{"node", "spec: {nodeName: skiff}", "", []string{onlyThese}},
		{"one more container", "", "spec: {containers: [{name: c, image: nginx}, {name: d, image: nginx}]}", []string{
			`spec.containers: Forbidden: pod updates may not add or remove containers`,
		}},
		{"environment", "", container("env: [{name: A, value: b}]"), []string{onlyThese}},
		{"restart policy", "", "spec: {restartPolicy: Never}", []string{onlyThese}},
		{"grace", "", "spec: {terminationGracePeriodSeconds: 1}", []string{onlyThese}},
		{"negative grace", "spec: {terminationGracePeriodSeconds: -5}", "spec: {terminationGracePeriodSeconds: 1}", nil},
		{"more tolerations", "", "spec: {tolerations: [{key: a, operator: Exists}]}", nil},
		{"other seconds", "spec: {tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 1}]}",
			"spec: {tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 2}]}", nil},
		{"fewer tolerations", "spec: {tolerations: [{key: a, operator: Exists}]}", "", []string{
			`spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds`,
		}},
		{"longer deadline", "spec: {activeDeadlineSeconds: 5}", "spec: {activeDeadlineSeconds: 6}", []string{
			`spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value`,
		}},
		{"no deadline", "spec: {activeDeadlineSeconds: 5}", "", []string{
			`spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value`,
		}},
		{"shorter deadline", "spec: {activeDeadlineSeconds: 5}", "spec: {activeDeadlineSeconds: 4}", nil},
		{"UID", "metadata: {uid: a}", "metadata: {uid: b}", []string{`metadata.uid: Invalid value: "b": field is immutable`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			old, obj := buildPod(t, test.old), buildPod(t, test.patch)
			old.ResourceVersion, obj.ResourceVersion = "1", "1"
			checkErrors(t, pod().ValidateUpdate(obj, old), test.want)
		})
	}
}

func TestValidatePodStatus(t *testing.T) {
	t.Parallel()
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	tests := []struct {
		name     string
		policy   corev1.RestartPolicy
		old, obj corev1.PodStatus
		want     []string
	}{
		{"restarted", corev1.RestartPolicyAlways,
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: ended}}},
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c"}}}, nil},
		{"restarted against its policy", corev1.RestartPolicyNever,
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: ended}}},
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c"}}},
			[]string{`status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state`}},
		{"class", corev1.RestartPolicyAlways, corev1.PodStatus{QOSClass: "BestEffort"}, corev1.PodStatus{QOSClass: "Guaranteed"},
			[]string{`status.qosClass: Invalid value: "Guaranteed": field is immutable`}},
		{"address", corev1.RestartPolicyAlways, corev1.PodStatus{}, corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "here"}}},
			[]string{`status.podIPs[0]: Invalid value: "here": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			old, obj := buildPod(t, ""), buildPod(t, "")
			old.ResourceVersion, obj.ResourceVersion = "1", "1"
			old.Spec.RestartPolicy, obj.Spec.RestartPolicy = test.policy, test.policy
			old.Status, obj.Status = test.old, test.obj
			checkErrors(t, pod().ValidateStatus(obj, old), test.want)
		})
	}
}
