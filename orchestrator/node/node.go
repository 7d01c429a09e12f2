package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"

	served "skiff/orchestrator/resource"
)

// mostPods is what the node says it can run: more than a kubelet's 110, which
// is about sharing a cluster's addresses among its nodes.
const mostPods = 250

// keepNode makes the Node object, or brings it up to date, and does so again
// when somebody deletes it: clients expect it on every instance.
func (w *Worker) keepNode(ctx context.Context) {
	for failures := 1; ctx.Err() == nil; failures++ {
		node, err := w.writeNode(ctx)
		if err == nil {
			failures = 0
			err = w.awaitChange(ctx, node)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		w.Log.Warn("the Node object is not kept; trying again", "error", err)
		if !pause(ctx, retryDelay(max(failures, 1))) {
			return
		}
	}
}

// awaitChange returns once the Node has been deleted or is to say something else
// of the engine. An error may mean that it has been deleted: what happened is no
// longer known.
func (w *Worker) awaitChange(ctx context.Context, node *corev1.Node) error {
	changes, err := w.Client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, node.Name).String(),
		ResourceVersion: node.ResourceVersion,
	})
	if err != nil {
		return fmt.Errorf("watch Node: %w", err)
	}
	defer changes.Stop()
	for {
		select {
		case change, open := <-changes.ResultChan():
			switch {
			case !open:
				return errors.New("watch Node: it ended")
			case change.Type == watch.Deleted:
				return nil
			case change.Type == watch.Error:
				return fmt.Errorf("watch Node: %w", apierrors.FromObject(change.Object))
			}
		case <-w.engineChanged:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *Worker) writeNode(ctx context.Context) (*corev1.Node, error) {
	nodes := w.Client.CoreV1().Nodes()
	want := w.node(diskSize(w.DataDir), time.Now())
	have, err := nodes.Create(ctx, want, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create Node: %w", err)
	}
	fresh := err == nil // else what was sent is not what is stored
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if !fresh {
			if have, err = nodes.Get(ctx, want.Name, metav1.GetOptions{}); err != nil {
				return fmt.Errorf("get Node: %w", err)
			}
		}
		fresh = false
		if labelled := withLabels(have, want.Labels); labelled != have {
			if have, err = nodes.Update(ctx, labelled, metav1.UpdateOptions{}); err != nil {
				return fmt.Errorf("update Node: %w", err)
			}
		}
		next := have.DeepCopy()
		next.Status = carryTimes(want.Status, have.Status)
		if equality.Semantic.DeepEqual(next.Status, have.Status) {
			return nil
		}
		if have, err = nodes.UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("update status of Node: %w", err)
		}
		return nil
	})
	return have, err
}

// withLabels is the node with labels set, the same object if it has them.
// Labels that users have added stay.
func withLabels(have *corev1.Node, want map[string]string) *corev1.Node {
	next := have.DeepCopy()
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	maps.Copy(next.Labels, want)
	if equality.Semantic.DeepEqual(next.Labels, have.Labels) {
		return have
	}
	return next
}

// carryTimes keeps the transition times of conditions that have not changed.
func carryTimes(want, have corev1.NodeStatus) corev1.NodeStatus {
	for i := range want.Conditions {
		c := &want.Conditions[i]
		for _, before := range have.Conditions {
			if before.Type == c.Type && before.Status == c.Status {
				c.LastTransitionTime = before.LastTransitionTime
			}
		}
	}
	return want
}

// node describes the engine's machine as a kubelet would.
func (w *Worker) node(disk int64, now time.Time) *corev1.Node {
	m := w.Machine
	capacity := w.capacity(disk)
	addresses := []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: served.NodeName}}
	if w.HostIP.IsValid() {
		addresses = append([]corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: w.HostIP.String()}}, addresses...)
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: served.NodeName,
			Labels: map[string]string{
				corev1.LabelHostname:      served.NodeName,
				corev1.LabelOSStable:      m.OS,
				corev1.LabelArchStable:    m.Arch,
				"beta.kubernetes.io/os":   m.OS,
				"beta.kubernetes.io/arch": m.Arch,
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: capacity.DeepCopy(),
			Addresses:   addresses,
			Conditions:  nodeConditions(now, w.outage.Load()),
			NodeInfo: corev1.NodeSystemInfo{
				KernelVersion:           m.Kernel,
				OSImage:                 m.OSImage,
				ContainerRuntimeVersion: "docker://" + m.Version,
				KubeletVersion:          w.Version,
				OperatingSystem:         m.OS,
				Architecture:            m.Arch,
				MachineID:               m.Machine,
			},
		},
	}
}

func nodeConditions(now time.Time, outage bool) []corev1.NodeCondition {
	at := second(now)
	of := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: at, LastTransitionTime: at}
	}
	ready := of(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status")
	if outage {
		ready = of(corev1.NodeReady, corev1.ConditionFalse, "KubeletNotReady",
			"container runtime is down: the Docker Engine does not answer; Pods are left as they are until it is started again")
	}
	return []corev1.NodeCondition{
		of(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
		of(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
		of(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		ready,
	}
}
