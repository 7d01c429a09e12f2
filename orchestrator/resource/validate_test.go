package resource

import (
	"slices"
	"testing"
)

func TestValidatePod(t *testing.T) {
	t.Parallel()
	const here = "spec.containers[0]"
	tests := slices.Concat(containerTests(here), handlerTests(here), volumeTests(), podTests())
	seen := map[string]bool{}
	for _, test := range tests {
		if seen[test.patch] {
			t.Errorf("%q is tested twice", test.patch)
		}
		seen[test.patch] = true
		t.Run(test.patch, func(t *testing.T) {
			t.Parallel()
			checkErrors(t, pod().Validate(buildPod(t, test.patch)), test.want)
		})
	}
}

func containerTests(c string) []refusal {
	return []refusal{
		{"", nil},
		{"spec: {containers: []}", []string{`spec.containers: Required value`}},
		{"spec: {containers: [{image: nginx}]}", []string{c + `.name: Required value`}},
		{"spec: {containers: [{name: A_b, image: nginx}]}", []string{c + `.name: Invalid value: "A_b": a lowercase RFC 1123 label must consist of…`}},
		{"spec: {containers: [{name: c, image: a}, {name: c, image: b}]}", []string{`spec.containers[1].name: Duplicate value: "c"`}},
		{"spec: {containers: [{name: c}]}", []string{c + `.image: Required value`}},
		{"spec: {containers: [{name: c, image: ' nginx'}]}", []string{c + `.image: Invalid value: " nginx": must not have leading or trailing whitespace`}},
		{"spec: {containers: [{name: c, image: 'a b'}]}", []string{c + `.image: Invalid value: "a b": not an image reference: invalid reference format`}},
		{"spec: {containers: [{name: c, image: 'Mongo:3.3'}]}", []string{c + `.image: Invalid value: "Mongo:3.3": not an image reference: invalid reference format: repository name (library/Mongo) must be lowercase`}},
		{container("imagePullPolicy: Sometimes"), []string{c + `.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`}},
		{container("terminationMessagePolicy: Shout"), []string{c + `.terminationMessagePolicy: Unsupported value: "Shout": supported values: "File", "FallbackToLogsOnError"`}},

		{container("terminationMessagePath: tmp/end"), []string{c + `.terminationMessagePath: Invalid value: "tmp/end": must be an absolute path`}},

		{container("ports: [{name: http}]"), []string{c + `.ports[0].containerPort: Required value`}},
		{container("ports: [{containerPort: 70000}]"), []string{c + `.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive`}},
		{container("ports: [{containerPort: 80, protocol: ICMP}]"), []string{c + `.ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`}},
		{container("ports: [{containerPort: 80, name: this-name-is-too-long}]"), []string{c + `.ports[0].name: Invalid value: "this-name-is-too-long": must be no more than 15 characters`}},
		{container("ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]"), []string{c + `.ports[1].name: Duplicate value: "a"`}},
		{container("ports: [{containerPort: 80, hostPort: 80}, {containerPort: 80, hostPort: 80, protocol: UDP}, {containerPort: 80, hostPort: 80, hostIP: 127.0.0.2}]"), nil},
		{container("ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 80}]"), []string{c + `.ports[1].hostPort: Duplicate value: "TCP//80"`}},
		{container("ports: [{containerPort: 80, hostPort: 80, protocol: SCTP}]"), []string{c + `.ports[0].hostPort: Forbidden: not supported by skiff for SCTP`}},
		{container("ports: [{containerPort: 80, hostPort: 80, hostIP: home}]"), []string{c + `.ports[0].hostIP: Invalid value: "home": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`}},
		{"spec: {hostNetwork: true, containers: [{name: c, image: nginx, ports: [{containerPort: 80, hostPort: 80}]}], initContainers: [{name: i, image: nginx, ports: [{containerPort: 81, hostPort: 81}]}]}", nil},
		{container("ports: [{containerPort: 80, hostPort: -1}]"), []string{
			c + `.ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive`,
		}},

		{container("env: [{value: x}]"), []string{c + `.env[0].name: Required value`}},
		{container("env: [{name: 'A=B', value: x}]"), []string{c + `.env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of…`}},
		{container("env: [{name: A, valueFrom: {}}]"), []string{
			c + ".env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
		}},
		{container("env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"), []string{
			c + ".env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
		}},
		{container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}, secretKeyRef: {name: s, key: k}}}]"), []string{
			c + ".env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
		}},
		{container("envFrom: [{prefix: A_, configMapRef: {name: c}}, {secretRef: {name: s, optional: true}}]"), nil},
		{container("envFrom: [{prefix: '=', configMapRef: {name: c}}, {}, {secretRef: {}}, {configMapRef: {name: c}, secretRef: {name: s}}]"), []string{
			c + `.envFrom[0].prefix: Invalid value: "=": a valid environment variable name must consist only of printable ASCII characters other than '='`,
			c + ".envFrom[1]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
			c + `.envFrom[2].secretRef.name: Required value`,
			c + `.envFrom[3]: Invalid value: "": may not have more than one field specified at a time`,
		}},
		{container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''a/b'']'}}}, {name: B, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}, " +
			"{name: C, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: D, valueFrom: {configMapKeyRef: {name: s, key: k}}}]"), nil},
		{container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.containers}}}, {name: B, valueFrom: {fieldRef: {fieldPath: 'metadata.name[''a'']'}}}, " +
			"{name: C, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}, {name: D, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1Gi}}}, " +
			"{name: E, valueFrom: {secretKeyRef: {name: s, key: a b}}}, {name: F, valueFrom: {configMapKeyRef: {}}}, {name: G, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}]"), []string{
			c + `.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.containers": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
			c + `.env[1].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": does not support subscript`,
			c + `.env[2].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpu": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"`,
			c + `.env[3].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`,
			c + `.env[4].valueFrom.secretKeyRef.key: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
			c + `.env[5].valueFrom.configMapKeyRef.name: Required value`,
			c + `.env[5].valueFrom.configMapKeyRef.key: Required value`,
			c + `.env[6].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
		}},

		{container("resources: {}, securityContext: {}"), nil},
		{container("resources: {limits: {cpu: 1, memory: 1Gi, ephemeral-storage: 1Gi}}"), nil},
		{container("resources: {limits: {memory: 6Mi}}"), nil},
		{container("resources: {limits: {memory: 0}}"), nil},
		{container("resources: {limits: {memory: 100M}, requests: {memory: 1Mi}}"), nil},
		{container("resources: {limits: {memory: 6M}}"), []string{c + `.resources.limits[memory]: Invalid value: "6M": must be at least 6Mi, the Docker Engine's minimum`}},
		{container("resources: {limits: {cpu: 1, memory: -1, disk: 1}, requests: {cpu: 1001m, memory: -1}}, resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: cpu, restartPolicy: Maybe}]"), []string{
			c + `.resources.limits[disk]: Invalid value: "disk": must be a standard resource for containers`,
			c + `.resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0`,
			c + `.resources.requests[disk]: Invalid value: "disk": must be a standard resource for containers`,
			c + `.resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0`,
			c + `.resources.requests: Invalid value: "1001m": must be less than or equal to cpu limit of 1`,
			c + `.resizePolicy[1]: Duplicate value: "cpu"`,
			c + `.resizePolicy[1].restartPolicy: Unsupported value: "Maybe": supported values: "NotRequired", "RestartContainer"`,
			c + `.resources.limits[disk]: Forbidden: not supported by skiff yet`,
			c + `.resources.requests[disk]: Forbidden: not supported by skiff yet`,
		}},
		{container("resources: {limits: {hugepages-2Mi: 4Mi, memory: 64Mi}}"), nil},
		{container("resources: {limits: {hugepages-2Mi: 4Mi}, requests: {hugepages-2Mi: 2Mi, hugepages-1Gi: 1Gi}}"), []string{
			c + `.resources.limits: Required value: Limit must be set for non overcommitable resources`,
			c + `.resources.requests: Invalid value: "2Mi": must be equal to hugepages-2Mi limit of 4Mi`,
			c + `.resources: Forbidden: HugePages require cpu or memory`,
		}},
		{container("securityContext: {runAsUser: 0, runAsGroup: 0, runAsNonRoot: false, privileged: true, readOnlyRootFilesystem: true, procMount: Default, " +
			"capabilities: {drop: [all], add: [CAP_NET_ADMIN]}, seLinuxOptions: {type: t}, seccompProfile: {type: Unconfined}, appArmorProfile: {type: RuntimeDefault}}"), nil},
		{container("securityContext: {runAsUser: -1, procMount: Unmasked, allowPrivilegeEscalation: false, privileged: true, capabilities: {add: [CAP_SYS_ADMIN]}, seccompProfile: {type: Localhost, localhostProfile: a.json}}"), []string{
			c + `.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive`,
			c + ".securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
			c + ".securityContext: Invalid value: {\"capabilities\":{\"add\":[\"CAP_SYS_ADMIN\"]},\"privileged\":true,\"runAsUser\":-1,\"allowPrivilegeEscalation\":false,\"procMount\":\"Unmasked\",\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":\"a.json\"}}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
			c + ".securityContext: Invalid value: {\"capabilities\":{\"add\":[\"CAP_SYS_ADMIN\"]},\"privileged\":true,\"runAsUser\":-1,\"allowPrivilegeEscalation\":false,\"procMount\":\"Unmasked\",\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":\"a.json\"}}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
			c + `.securityContext.procMount: Forbidden: not supported by skiff: it needs hostUsers: false`,
		}},
		{container("volumeDevices: [{name: v, devicePath: /dev/x}]"), []string{c + `.volumeDevices: Forbidden: not supported by skiff yet`}},
		{container("restartPolicy: Never"), nil},
		{container("restartPolicy: OnFailure, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]"), nil},
		{container("restartPolicy: Sometimes"), []string{c + `.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"`}},
		{container("restartPolicyRules: [{action: Cry}, {action: RestartAllContainers, exitCodes: {operator: Near}}]"), []string{
			c + `.restartPolicy: Required value: must specify restartPolicy when restart rules are used`,
			c + `.restartPolicyRules[0].action: Unsupported value: "Cry": supported values: "Restart", "RestartAllContainers"`,
			c + `.restartPolicyRules[0].exitCodes: Required value: must be specified`,
			c + `.restartPolicyRules[1].exitCodes.operator: Unsupported value: "Near": supported values: "In", "NotIn"`,
		}},
		{container("workingDir: /srv, command: [a], args: [b], tty: true, stdin: true"), nil},
	}
}

func handlerTests(c string) []refusal {
	return []refusal{
		{container("livenessProbe: {exec: {command: [x]}, initialDelaySeconds: 1, timeoutSeconds: 2, periodSeconds: 3, failureThreshold: 4}"), nil},
		{container("readinessProbe: {tcpSocket: {port: http}, successThreshold: 2}"), nil},
		{container("startupProbe: {grpc: {port: 9000, service: s}}"), nil},
		{container("livenessProbe: {}"), []string{c + `.livenessProbe: Required value: must specify a handler type`}},
		{container("livenessProbe: {exec: {command: [x]}, tcpSocket: {port: 1}}"), []string{c + `.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type`}},
		{container("livenessProbe: {exec: {}}"), []string{c + `.livenessProbe.exec.command: Required value`}},
		{container("livenessProbe: {tcpSocket: {port: 0}}"), []string{c + `.livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive`}},
		{container("livenessProbe: {httpGet: {port: 80, scheme: FTP}}"), []string{c + `.livenessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"`}},
		{container("livenessProbe: {httpGet: {port: 'no port'}}"), []string{
			c + `.livenessProbe.httpGet.port: Invalid value: "no port": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`,
		}},
		{container("livenessProbe: {httpGet: {port: 80, httpHeaders: [{name: 'a b', value: x}]}}"), []string{c + `.livenessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of…`}},
		{container("livenessProbe: {tcpSocket: {port: 1}, periodSeconds: -1}"), []string{c + `.livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0`}},
		{container("livenessProbe: {tcpSocket: {port: 1}, successThreshold: 2}"), []string{c + `.livenessProbe.successThreshold: Invalid value: 2: must be 1`}},
		{container("startupProbe: {tcpSocket: {port: 1}, successThreshold: 2}"), []string{c + `.startupProbe.successThreshold: Invalid value: 2: must be 1`}},
		{container("livenessProbe: {tcpSocket: {port: 1}, terminationGracePeriodSeconds: 0}"), []string{
			c + `.livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0`,
		}},
		{container("readinessProbe: {httpGet: {port: 80, protocol: HTTP2}}"), []string{c + `.readinessProbe.httpGet.protocol: Forbidden: not supported by skiff yet`}},
		{container("readinessProbe: {grpc: {port: 80, mode: TLS}}"), []string{c + `.readinessProbe.grpc.mode: Forbidden: not supported by skiff yet`}},

		{container("lifecycle: {preStop: {exec: {command: [x]}}, postStart: {httpGet: {port: 80}}}"), nil},
		{container("lifecycle: {preStop: {sleep: {seconds: 30}}}"), nil},
		{container("lifecycle: {preStop: {tcpSocket: {port: 80, host: h}}, postStart: {tcpSocket: {port: http}}}"), nil},
		{container("lifecycle: {preStop: {tcpSocket: {port: 0}}}"), []string{c + `.lifecycle.preStop.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive`}},
		{container("lifecycle: {preStop: {}}"), []string{c + `.lifecycle.preStop: Required value: must specify a handler type`}},
		{container("lifecycle: {preStop: {sleep: {seconds: 31}}}"), []string{c + `.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)`}},
		{container("lifecycle: {stopSignal: SIGINT}"), []string{c + `.lifecycle.stopSignal: Forbidden: not supported by skiff yet`}},
	}
}

func volumeTests() []refusal {
	mount := func(fields string) string {
		return "spec: {volumes: [{name: v, emptyDir: {}}], containers: [{name: c, image: nginx, volumeMounts: [" + fields + "]}]}"
	}
	const m = "spec.containers[0].volumeMounts"
	return []refusal{
		{mount("{name: v, mountPath: /a}, {name: v, mountPath: /b, readOnly: true}"), nil},
		{mount("{name: v, mountPath: /a, subPath: b/c}"), nil},
		{mount("{name: v, mountPath: /a, subPath: /b}"), []string{m + `.subPath: Invalid value: "/b": must be a relative path`}},
		{mount("{name: w, mountPath: /a}"), []string{m + `[0].name: Not found: "w"`}},
		{mount("{name: v}"), []string{m + `[0].mountPath: Required value`}},
		{mount("{name: v, mountPath: /a}, {name: v, mountPath: /a}"), []string{m + `[1].mountPath: Invalid value: "/a": must be unique`}},
		{mount("{name: v, mountPath: /a, mountPropagation: HostToContainer}"), nil},
		{mount("{name: v, mountPath: /a, mountPropagation: Bidirectional}"), []string{
			m + `[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers`,
		}},
		{mount("{name: v, mountPath: /a, mountPropagation: Sideways}"), []string{
			m + `[0].mountPropagation: Unsupported value: "Sideways": supported values: "Bidirectional", "HostToContainer", "None"`,
		}},
		{mount("{name: v, mountPath: /a, readOnly: true, recursiveReadOnly: Enabled}"), nil},
		{mount("{name: v, mountPath: /a, recursiveReadOnly: Enabled, mountPropagation: HostToContainer}"), []string{
			m + `[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true`,
			m + `[0].recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified`,
		}},
		{mount("{name: v, mountPath: /a, mountPropagation: None, recursiveReadOnly: Disabled}"), nil},
		{mount("{name: v, mountPath: /a, subPathExpr: ../a}"), []string{
			m + `.subPathExpr: Invalid value: "../a": must not contain '..'`,
		}},

		{mounted("hostPath: {path: /srv}"), nil},
		{mounted("hostPath: {path: /srv, type: DirectoryOrCreate}"), nil},
		{mounted("hostPath: {path: ''}"), []string{`spec.volumes[0].hostPath.path: Required value`}},
		{mounted("hostPath: {path: /srv/../etc}"), []string{`spec.volumes[0].hostPath.path: Invalid value: "/srv/../etc": must not contain '..'`}},
		{mounted("hostPath: {path: srv}"), []string{`spec.volumes[0].hostPath.path: Invalid value: "srv": must be an absolute path`}},
		{mounted("hostPath: {path: /srv, type: Folder}"), []string{
			`spec.volumes[0].hostPath.type: Unsupported value: "Folder": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"`,
		}},
		{mounted("hostPath: {path: /srv}, emptyDir: {}"), []string{`spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type`}},
		{mounted("emptyDir: {sizeLimit: -1}"), []string{`spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity`}},
		{mounted("emptyDir: {sizeLimit: 1Gi}"), nil},
		{mounted("emptyDir: {medium: Memory}"), nil},
		{mounted("emptyDir: {medium: HugePages}"), []string{`spec.volumes[0].emptyDir.medium: Forbidden: not supported by skiff yet`}},
		{mounted("configMap: {name: c, defaultMode: 0400, items: [{key: a, path: b/c, mode: 0777}]}"), nil},
		{mounted("secret: {secretName: s, defaultUser: 1000, items: [{key: a, path: b, user: 7}]}"), []string{
			`spec.volumes[0].secret.items[0].user: Forbidden: not supported by skiff yet`,
			`spec.volumes[0].secret.defaultUser: Forbidden: not supported by skiff yet`,
		}},
		{mounted("configMap: {defaultMode: 01000}"), []string{
			`spec.volumes[0].configMap.name: Required value`,
			`spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive`,
		}},
		{mounted("secret: {secretName: s, items: [{key: a, path: ..b}, {path: /c}, {key: d, path: x/../../y}]}"), []string{
			`spec.volumes[0].secret.items[0].path: Invalid value: "..b": must not start with '..'`,
			`spec.volumes[0].secret.items[1].key: Required value`,
			`spec.volumes[0].secret.items[1].path: Invalid value: "/c": must be a relative path`,
			`spec.volumes[0].secret.items[2].path: Invalid value: "x/../../y": must not contain '..'`,
		}},
		{mounted("downwardAPI: {items: [{path: a, fieldRef: {fieldPath: 'metadata.labels[''app'']'}}, {path: b, resourceFieldRef: {containerName: c, resource: limits.memory, divisor: 1Mi}}]}"), nil},
		{mounted("downwardAPI: {items: [{path: a}, {path: b, fieldRef: {fieldPath: spec.nodeName}}, {path: c, resourceFieldRef: {containerName: c, resource: limits.cpu, divisor: 1Mi}}]}"), []string{
			`spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required`,
			`spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"`,
			`spec.volumes[0].downwardAPI.resourceFieldRef.divisor: Invalid value: "1Mi": only divisor's values 1, 1m are supported with the limits.cpu resource`,
		}},
		{mounted("projected: {sources: [{configMap: {name: c}}, {serviceAccountToken: {path: token}}, {downwardAPI: {items: [{path: ns, fieldRef: {fieldPath: metadata.namespace}}]}}]}"), nil},
		{mounted("projected: {sources: [{}, {serviceAccountToken: {path: t, expirationSeconds: 10}}, {configMap: {name: c, items: [{key: k, path: t}]}}, {clusterTrustBundle: {path: c}}]}"), []string{
			`spec.volumes[0].projected.sources[0]: Required value: must specify a volume projection type`,
			`spec.volumes[0].projected.sources[1].serviceAccountToken.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes`,
			`spec.volumes[0].projected.sources[2]: Invalid value: "t": conflicting duplicate paths`,
			`spec.volumes[0].projected.sources[3].clusterTrustBundle: Forbidden: not supported by skiff yet`,
		}},
		{mounted("persistentVolumeClaim: {claimName: c, readOnly: true}"), nil},
		{mounted("ephemeral: {volumeClaimTemplate: {metadata: {labels: {a: b}, annotations: {c: d}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}"), nil},
		{mounted("ephemeral: {}"), []string{`spec.volumes[0].ephemeral.volumeClaimTemplate: Required value`}},
		{mounted("ephemeral: {volumeClaimTemplate: {metadata: {name: x, labels: {-: b}}, spec: {volumeMode: Block, volumeName: v, accessModes: [Some]}}}"), []string{
			`spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.labels: Invalid value: "-": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			`spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Unsupported value: "Some": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"`,
			`spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value`,
			`spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: not supported by skiff yet`,
			`spec.volumes[0].ephemeral.volumeClaimTemplate.spec.volumeName: Forbidden: not supported by skiff: each claim gets a volume of its own`,
			`spec.volumes[0].ephemeral.volumeClaimTemplate.spec.volumeMode: Forbidden: not supported by skiff: there are no block devices`,
		}},
		{mounted("persistentVolumeClaim: {}"), []string{`spec.volumes[0].persistentVolumeClaim.claimName: Required value`}},
		{mounted("nfs: {}"), []string{`spec.volumes[0].nfs: Forbidden: not supported by skiff yet`}},
		{"spec: {volumes: [{emptyDir: {}}]}", []string{`spec.volumes[0].name: Required value`}},
		{"spec: {volumes: [{name: V}]}", []string{`spec.volumes[0].name: Invalid value: "V": a lowercase RFC 1123 label must consist of…`}},
		{"spec: {volumes: [{name: v}, {name: v}]}", []string{`spec.volumes[1].name: Duplicate value: "v"`}},
	}
}
