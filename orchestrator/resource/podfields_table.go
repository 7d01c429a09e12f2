package resource

import "maps"

// Why a field has no effect, where several share the reason.
const (
	oneNode    = "there is one node"
	noPriority = "Pods do not compete for the node, none is preempted"
	noStorage  = "the local storage that containers use is not limited"
	noResize   = "Pods are not resized in place"
)

// podFields says for each field of a Pod spec, Pods and templates alike,
// whether skiff honours it. What has no line is refused. "[]" stands for every
// element of a list, "[key]" for one entry of a map and "[*]" for its others.
var podFields = withHandlers(withLeaves(withGroups(map[string]podField{
	"containers":                    {support: mixed},
	"initContainers":                {support: mixed},
	"restartPolicy":                 {support: honoured},
	"terminationGracePeriodSeconds": {support: honoured},
	"nodeName":                      {support: honoured},
	"hostname":                      {support: honoured},
	"subdomain":                     {support: honoured},
	"setHostnameAsFQDN":             {support: honoured},
	"activeDeadlineSeconds":         {support: honoured},
	"shareProcessNamespace":         {support: honoured},
	"hostNetwork":                   {support: honoured},
	"hostPID":                       {support: honoured},
	"hostIPC":                       {support: honoured},
	"serviceAccount":                {support: honoured}, // serviceAccountName's other name, always equal to it

	"serviceAccountName":           {support: honoured},
	"automountServiceAccountToken": {support: honoured},
	"nodeSelector":                 {support: honoured},
	"affinity":                     {support: mixed},
	"affinity.nodeAffinity":        {support: mixed},
	"affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution": {support: ignored, why: oneNode},
	"affinity.podAffinity":      {support: ignored, why: oneNode},
	"affinity.podAntiAffinity":  {support: ignored, why: oneNode},
	"topologySpreadConstraints": {support: ignored, why: oneNode},
	"schedulerName":             {support: ignored, why: oneNode, neutral: []string{"default-scheduler"}},
	"priorityClassName":         {support: ignored, why: noPriority},
	"priority":                  {support: ignored, why: noPriority, neutral: []string{"0"}},
	"preemptionPolicy":          {support: ignored, why: noPriority, neutral: []string{"PreemptLowerPriority"}},
	"dnsPolicy":                 {support: honoured},

	"hostUsers":       {neutral: []string{"true"}, why: "the Docker Engine has no user namespaces for single Pods"},
	"os":              {support: mixed},
	"os.name":         {neutral: []string{"linux"}},
	"securityContext": {support: mixed},

	// As far as validation lets them be.
	"resources":          {support: mixed},
	"resources.limits":   {support: honoured},
	"resources.requests": {support: honoured},

	"containers[].name":                                  {support: honoured},
	"containers[].image":                                 {support: honoured},
	"containers[].imagePullPolicy":                       {support: honoured},
	"containers[].command":                               {support: honoured},
	"containers[].args":                                  {support: honoured},
	"containers[].workingDir":                            {support: honoured},
	"containers[].stdin":                                 {support: honoured},
	"containers[].stdinOnce":                             {support: honoured},
	"containers[].tty":                                   {support: honoured},
	"containers[].ports":                                 {support: mixed},
	"containers[].ports[].name":                          {support: honoured},
	"containers[].ports[].containerPort":                 {support: honoured},
	"containers[].ports[].protocol":                      {support: honoured},
	"containers[].ports[].hostPort":                      {support: honoured},
	"containers[].ports[].hostIP":                        {support: honoured},
	"containers[].resources":                             {support: mixed},
	"containers[].resources.limits":                      {support: mixed},
	"containers[].resources.limits[*]":                   {support: refused},
	"containers[].resources.limits[cpu]":                 {support: honoured},
	"containers[].resources.limits[memory]":              {support: honoured},
	"containers[].resources.requests":                    {support: mixed},
	"containers[].resources.requests[*]":                 {support: refused},
	"containers[].resources.requests[cpu]":               {support: honoured},
	"containers[].resources.requests[memory]":            {support: honoured},
	"containers[].resources.requests[ephemeral-storage]": {support: honoured},
	"containers[].resources.limits[hugepages-*]":         {support: honoured}, // the node has none: the Pod waits
	"containers[].resources.requests[hugepages-*]":       {support: honoured},
	"containers[].resizePolicy":                          {support: ignored, why: noResize},
	"containers[].securityContext":                       {support: mixed},

	"containers[].resources.limits[ephemeral-storage]": {support: ignored, why: noStorage},
	"containers[].terminationMessagePath":              {support: honoured},
	"containers[].terminationMessagePolicy":            {support: honoured},

	"ephemeralContainers":                       {support: mixed},
	"ephemeralContainers[].targetContainerName": {support: honoured},

	"containers[].restartPolicy":               {support: honoured},
	"containers[].restartPolicyRules":          {support: mixed},
	"containers[].restartPolicyRules[].action": {support: honoured},
}, securityFields, environmentFields, volumeFields), leaves))

// withGroups adds the lines of groups that have a file of their own.
func withGroups(table map[string]podField, groups ...map[string]podField) map[string]podField {
	for _, group := range groups {
		maps.Copy(table, group)
	}
	return table
}

// withHandlers adds the lines of probes and of lifecycle hooks, which are the
// same for each of them.
func withHandlers(table map[string]podField) map[string]podField {
	probe := map[string]podField{
		"exec":                {support: mixed},
		"exec.command":        {support: honoured},
		"httpGet":             {support: mixed},
		"tcpSocket":           {support: mixed},
		"tcpSocket.port":      {support: honoured},
		"tcpSocket.host":      {support: honoured},
		"grpc":                {support: mixed},
		"grpc.port":           {support: honoured},
		"grpc.service":        {support: honoured},
		"grpc.mode":           {neutral: []string{"Plaintext"}},
		"initialDelaySeconds": {support: honoured},
		"timeoutSeconds":      {support: honoured},
		"periodSeconds":       {support: honoured},
		"successThreshold":    {support: honoured},
		"failureThreshold":    {support: honoured},

		// Only liveness and startup probes may have it.
		"terminationGracePeriodSeconds": {support: honoured},
	}
	hook := map[string]podField{
		"exec":          {support: mixed},
		"exec.command":  {support: honoured},
		"httpGet":       {support: mixed},
		"sleep":         {support: mixed},
		"sleep.seconds": {support: honoured},

		// Such a hook fails when it runs, as in Kubernetes.
		"tcpSocket":      {support: mixed},
		"tcpSocket.port": {support: honoured},
		"tcpSocket.host": {support: honoured},
	}
	for _, lines := range []map[string]podField{probe, hook} {
		for _, f := range []string{"path", "port", "host", "scheme", "httpHeaders[].name", "httpHeaders[].value"} {
			lines["httpGet."+f] = podField{support: honoured}
		}
		lines["httpGet.httpHeaders"] = podField{support: mixed}
		lines["httpGet.protocol"] = podField{neutral: []string{"HTTP1"}}
	}
	add := func(group string, lines map[string]podField) {
		table["containers[]."+group] = podField{support: mixed}
		for f, line := range lines {
			table["containers[]."+group+"."+f] = line
		}
	}
	add("livenessProbe", probe)
	add("readinessProbe", probe)
	add("startupProbe", probe)
	add("lifecycle", nil)
	add("lifecycle.postStart", hook)
	add("lifecycle.preStop", hook)
	return table
}
