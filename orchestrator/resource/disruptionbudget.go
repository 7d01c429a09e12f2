package resource

import (
	"time"

	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podDisruptionBudget() *Definition {
	return typed[*policyv1.PodDisruptionBudget]{
		GVK:        policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
		Plural:     "poddisruptionbudgets",
		Singular:   "poddisruptionbudget",
		ShortNames: []string{"pdb"},
		Namespaced: true,
		PrepareCreate: func(b *policyv1.PodDisruptionBudget) {
			b.Status, b.Generation = policyv1.PodDisruptionBudgetStatus{}, 1
		},
		PrepareUpdate: func(b, old *policyv1.PodDisruptionBudget) { b.Status = old.Status },
		PrepareStatus: func(b, old *policyv1.PodDisruptionBudget) { b.Spec = old.Spec },
		SpecChanged: func(b, old *policyv1.PodDisruptionBudget) bool {
			return !apiequality.Semantic.DeepEqual(b.Spec, old.Spec)
		},
		Validate:       validateBudget,
		ValidateUpdate: func(b, old *policyv1.PodDisruptionBudget) field.ErrorList { return validateMetaUpdate(b, old) },
		ValidateStatus: validateBudgetStatus,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Min Available", "string", "The minimum number of pods that must be available."),
			column("Max Unavailable", "string", "The maximum number of pods that may be unavailable."),
			column("Allowed Disruptions", "integer", "Calculated number of pods that may be disrupted at this time."),
			ageColumn(),
		},
		Row: budgetRow,
	}.definition()
}

func validateBudget(b *policyv1.PodDisruptionBudget) field.ErrorList {
	errs := validateMeta(b, true, apivalidation.NameIsDNSSubdomain)
	spec, path := &b.Spec, field.NewPath("spec")
	if spec.MinAvailable != nil && spec.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(path, *spec, "minAvailable and maxUnavailable cannot be both set"))
	}
	for _, of := range []struct {
		share *intstr.IntOrString
		name  string
	}{{spec.MinAvailable, "minAvailable"}, {spec.MaxUnavailable, "maxUnavailable"}} {
		if of.share == nil {
			continue
		}
		errs = append(errs, validateShare(*of.share, path.Child(of.name))...)
		if of.share.Type == intstr.String && shareValue(*of.share) > 100 {
			errs = append(errs, field.Invalid(path.Child(of.name), *of.share, "must not be greater than 100%"))
		}
	}
	if spec.Selector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(spec.Selector, strictSelector, path.Child("selector"))...)
	}
	if policy := spec.UnhealthyPodEvictionPolicy; policy != nil {
		errs = append(errs, validateOneOf(*policy, path.Child("unhealthyPodEvictionPolicy"), policyv1.AlwaysAllow, policyv1.IfHealthyBudget)...)
	}
	return errs
}

func validateBudgetStatus(b, old *policyv1.PodDisruptionBudget) field.ErrorList {
	errs := validateMetaUpdate(b, old)
	path := field.NewPath("status")
	for _, of := range []struct {
		number int32
		name   string
	}{
		{b.Status.DisruptionsAllowed, "disruptionsAllowed"}, {b.Status.CurrentHealthy, "currentHealthy"},
		{b.Status.DesiredHealthy, "desiredHealthy"}, {b.Status.ExpectedPods, "expectedPods"},
	} {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(of.number), path.Child(of.name))...)
	}
	return errs
}

func budgetRow(b *policyv1.PodDisruptionBudget) []any {
	share := func(s *intstr.IntOrString) string {
		if s == nil {
			return "N/A"
		}
		return s.String()
	}
	return []any{
		b.Name, share(b.Spec.MinAvailable), share(b.Spec.MaxUnavailable), int64(b.Status.DisruptionsAllowed), age(b.CreationTimestamp, time.Now()),
	}
}
