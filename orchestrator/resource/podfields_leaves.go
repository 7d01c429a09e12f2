package resource

import "strings"

// leaves are the fields of groups in which skiff honours all that there are now,
// as far as validation lets them be. They are named one by one, so that a field
// which a later Kubernetes adds to such a group is refused, too.
var leaves = map[string][]string{
	"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution":                                        {},
	"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]":                    {},
	"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[]": {"key", "operator", "values"},
	"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchFields[]":      {"key", "operator", "values"},

	"dnsConfig":           {"nameservers", "searches"},
	"dnsConfig.options[]": {"name", "value"},
	"hostAliases[]":       {"hostnames", "ip"},
	"imagePullSecrets[]":  {"name"},
	"readinessGates[]":    {"conditionType"},
	"schedulingGates[]":   {"name"},
	"tolerations[]":       {"key", "operator", "value", "effect", "tolerationSeconds"},

	"containers[].restartPolicyRules[].exitCodes": {"operator", "values"},

	"containers[].envFrom[]":                        {"prefix"},
	"containers[].envFrom[].configMapRef":           object,
	"containers[].envFrom[].secretRef":              object,
	"containers[].env[].valueFrom.configMapKeyRef":  append(object, "key"),
	"containers[].env[].valueFrom.secretKeyRef":     append(object, "key"),
	"containers[].env[].valueFrom.fieldRef":         fieldRef,
	"containers[].env[].valueFrom.resourceFieldRef": resourceFieldRef,

	"securityContext.seLinuxOptions":              seLinuxOptions,
	"securityContext.seccompProfile":              seccompProfile,
	"securityContext.sysctls[]":                   {"name", "value"},
	"containers[].securityContext.seLinuxOptions": seLinuxOptions,
	"containers[].securityContext.seccompProfile": seccompProfile,
	"containers[].securityContext.capabilities":   {"add", "drop"},

	"volumes[].hostPath":                                                 {"path", "type"},
	"volumes[].persistentVolumeClaim":                                    {"claimName", "readOnly"},
	"volumes[].ephemeral.volumeClaimTemplate.metadata":                   {"labels", "annotations"},
	"volumes[].ephemeral.volumeClaimTemplate.spec":                       {"accessModes", "storageClassName"},
	"volumes[].ephemeral.volumeClaimTemplate.spec.resources":             {"limits", "requests"},
	"volumes[].configMap":                                                append(object, "defaultMode"),
	"volumes[].configMap.items[]":                                        keyToPath,
	"volumes[].secret":                                                   {"secretName", "optional", "defaultMode"},
	"volumes[].secret.items[]":                                           keyToPath,
	"volumes[].downwardAPI":                                              {"defaultMode"},
	"volumes[].downwardAPI.items[]":                                      {"path", "mode"},
	"volumes[].downwardAPI.items[].fieldRef":                             fieldRef,
	"volumes[].downwardAPI.items[].resourceFieldRef":                     resourceFieldRef,
	"volumes[].projected.sources[].configMap":                            object,
	"volumes[].projected.sources[].configMap.items[]":                    keyToPath,
	"volumes[].projected.sources[].secret":                               object,
	"volumes[].projected.sources[].secret.items[]":                       keyToPath,
	"volumes[].projected.sources[].downwardAPI":                          {},
	"volumes[].projected.sources[].downwardAPI.items[]":                  {"path", "mode"},
	"volumes[].projected.sources[].downwardAPI.items[].fieldRef":         fieldRef,
	"volumes[].projected.sources[].downwardAPI.items[].resourceFieldRef": resourceFieldRef,
	"volumes[].projected.sources[].serviceAccountToken":                  {"audience", "expirationSeconds", "path"},
}

// Groups that are in several places.
var (
	object           = []string{"name", "optional"}
	keyToPath        = []string{"key", "path", "mode"}
	fieldRef         = []string{"apiVersion", "fieldPath"}
	resourceFieldRef = []string{"containerName", "resource", "divisor"}
	seLinuxOptions   = []string{"user", "role", "type", "level"}
	seccompProfile   = []string{"type", "localhostProfile"}
)

// withLeaves adds the lines of such groups and of their fields.
func withLeaves(table map[string]podField, groups map[string][]string) map[string]podField {
	for group, names := range groups {
		table[strings.TrimSuffix(group, "[]")] = podField{support: mixed}
		for _, name := range names {
			table[group+"."+name] = podField{support: honoured}
		}
	}
	return table
}
