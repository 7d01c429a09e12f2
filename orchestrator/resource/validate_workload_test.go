package resource

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

func TestValidateDeployment(t *testing.T) {
	t.Parallel()
	const noMatch = "spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`"
	tests := []refusal{
		{"", nil},
		{"spec: {replicas: 0, paused: true, minReadySeconds: 5, revisionHistoryLimit: 0}", nil},
		{"spec: {replicas: -1}", []string{`spec.replicas: Invalid value: -1: must be greater than or equal to 0`}},
		{"spec: {minReadySeconds: -1}", []string{`spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0`}},
		{"spec: {revisionHistoryLimit: -1}", []string{`spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0`}},
		{"spec: {minReadySeconds: 10, progressDeadlineSeconds: 10}", []string{`spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds`}},
		{"spec: {progressDeadlineSeconds: -1}", []string{
			`spec.progressDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0`,
			`spec.progressDeadlineSeconds: Invalid value: -1: must be greater than minReadySeconds`,
		}},

		{"spec: {selector: null}", []string{`spec.selector: Required value`, noMatch}},
		{"spec: {selector: {matchLabels: null}}", []string{`spec.selector: Invalid value: {}: empty selector is invalid for deployment`}},
		{"spec: {selector: {matchLabels: {app: e}}}", []string{noMatch}},
		{"spec: {selector: {matchLabels: {app: d, tier: web}}}", []string{noMatch}},
		{"spec: {selector: {matchExpressions: [{key: app, operator: In, values: [d]}]}}", nil},
		{"spec: {selector: {matchExpressions: [{key: app, operator: Like}]}}", []string{
			`spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`,
			`spec.selector: Invalid value: {"matchLabels":{"app":"d"},"matchExpressions":[{"key":"app","operator":"Like"}]}: invalid label selector`,
		}},
		{"spec: {template: {metadata: {labels: {'a b': c}}}}", []string{`spec.template.labels: Invalid value: "a b": name part must consist of alphanumeric…`}},
		{"spec: {template: {metadata: {annotations: {skiff.dev/drain-seconds: long}}}}", []string{
			`spec.template.annotations[skiff.dev/drain-seconds]: Invalid value: "long": must be a whole number of seconds between 0 and 3600`,
		}},

		{"spec: {strategy: {type: Fast}}", []string{`spec.strategy: Unsupported value: {"type":"Fast"}: supported values: "Recreate", "RollingUpdate"`}},
		{"spec: {strategy: {type: Recreate}}", nil},
		{"spec: {strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}}", []string{
			"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
		}},
		{"spec: {strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}}", []string{
			"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
		}},
		{"spec: {strategy: {rollingUpdate: {maxSurge: '0%', maxUnavailable: '0%'}}}", []string{
			"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
		}},
		{"spec: {strategy: {rollingUpdate: {maxSurge: -1}}}", []string{`spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal to 0`}},
		{"spec: {strategy: {rollingUpdate: {maxSurge: '200%', maxUnavailable: '100%'}}}", nil},
		{"spec: {strategy: {rollingUpdate: {maxUnavailable: '101%'}}}", []string{
			`spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%`,
		}},
		{"spec: {strategy: {rollingUpdate: {maxUnavailable: '99999999999999999999%'}}}", []string{
			`spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "99999999999999999999%": must not be greater than 100%`,
		}},
		{"spec: {strategy: {rollingUpdate: {maxSurge: half}}}", []string{
			`spec.strategy.rollingUpdate.maxSurge: Invalid value: "half": a valid percent string must be…`,
		}},

		{"spec: {template: {spec: {restartPolicy: Never}}}", []string{
			`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
		}},
		{"spec: {template: {spec: {activeDeadlineSeconds: 5}}}", []string{
			`spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported`,
		}},
		{"spec: {template: {spec: {ephemeralContainers: [{name: e, image: nginx}]}}}", []string{
			`spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template`,
		}},
		{"spec: {template: {spec: {containers: null}}}", []string{`spec.template.spec.containers: Required value`}},
		{"spec: {template: {spec: {containers: [{name: c, image: 'n:g:inx'}]}}}", []string{
			`spec.template.spec.containers[0].image: Invalid value: "n:g:inx": not an image reference: invalid reference format`,
		}},
	}
	for _, test := range tests {
		t.Run(test.patch, func(t *testing.T) {
			t.Parallel()
			checkErrors(t, deployment().Validate(buildDeployment(t, test.patch)), test.want)
		})
	}
}

func TestValidateDeploymentUpdate(t *testing.T) {
	t.Parallel()
	old := buildDeployment(t, "")
	obj := buildDeployment(t, "spec: {selector: {matchLabels: {app: e}}, replicas: 5}")
	old.ResourceVersion, obj.ResourceVersion = "1", "1"
	checkErrors(t, deployment().ValidateUpdate(obj, old), []string{
		`spec.selector: Invalid value: {"matchLabels":{"app":"e"}}: field is immutable`,
	})
}

func TestValidateDeploymentStatus(t *testing.T) {
	t.Parallel()
	two, one := int32(2), int32(1)
	old, obj := buildDeployment(t, ""), buildDeployment(t, "")
	old.ResourceVersion, obj.ResourceVersion = "1", "1"
	old.Status.CollisionCount = &two
	obj.Status = appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 2, AvailableReplicas: 1, UnavailableReplicas: -1, CollisionCount: &one}
	checkErrors(t, deployment().ValidateStatus(obj, old), []string{
		`status.unavailableReplicas: Invalid value: -1: must be greater than or equal to 0`,
		`status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas`,
		`status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas`,
		`status.collisionCount: Invalid value: 1: cannot be decremented`,
	})
}

func TestValidateReplicaSet(t *testing.T) {
	t.Parallel()
	tests := []refusal{
		{"", nil},
		{"spec: {replicas: -1, selector: {matchLabels: {app: e}}}", []string{
			`spec.replicas: Invalid value: -1: must be greater than or equal to 0`,
			"spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`",
		}},
		{"metadata: {name: A}", []string{`metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of…`}},
	}
	for _, test := range tests {
		t.Run(test.patch, func(t *testing.T) {
			t.Parallel()
			rs := build(t, replicaSet(), &appsv1.ReplicaSet{}, soundDeployment, test.patch)
			checkErrors(t, replicaSet().Validate(rs), test.want)
		})
	}

	old := build(t, replicaSet(), &appsv1.ReplicaSet{}, soundDeployment, "")
	obj := build(t, replicaSet(), &appsv1.ReplicaSet{}, soundDeployment, "spec: {selector: {matchLabels: {app: e}}}")
	old.ResourceVersion, obj.ResourceVersion = "1", "1"
	checkErrors(t, replicaSet().ValidateUpdate(obj, old), []string{
		`spec.selector: Invalid value: {"matchLabels":{"app":"e"}}: field is immutable`,
	})
	obj.Status = appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 2, AvailableReplicas: 3}
	checkErrors(t, replicaSet().ValidateStatus(obj, old), []string{
		`status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas`,
		`status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas`,
		`status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas`,
	})
}
