package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubectl/pkg/cmd/util/podcmd"
)

const podPatience = time.Minute

func talkFlags(f *flags) {
	fileFlags(f)
	f.String("container", "c", "", "in this `CONTAINER` (default: the first, or what the Pod's annotation says)")
	f.Bool("stdin", "i", false, "pass on standard input")
	f.Bool("tty", "t", false, "standard input is a terminal")
	f.Bool("quiet", "q", false, "print only what the remote side says")
	f.Duration("pod-running-timeout", podPatience, "wait this `LONG` for a Pod to run")
}

func (p *program) exec() *cobra.Command {
	return spec{
		name:  "exec",
		short: "run a command in a container",
		args:  "POD | TYPE/NAME -- COMMAND…",
		long:  "The exit code is that of the command.",
		examples: examples(
			"skiff exec deployment/web -- env",
			"skiff exec -it web-6f89cd886-x2x7q -c db -- sh"),
		flags: talkFlags,
		run:   p.runExec,
	}.command()
}

func (p *program) runExec(c *call) error {
	dash := c.command.ArgsLenAtDash()
	switch {
	case dash < 0 && len(c.args) > 1:
		return c.usage("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
	case dash < 0 || dash == len(c.args):
		return c.usage("you must specify at least one command for the container")
	}
	cmd := c.args[dash:]
	c.args = c.args[:dash]
	conn, pod, err := p.podOf(c)
	if err != nil {
		return err
	}
	container, err := podcmd.FindOrDefaultContainerByName(pod, c.String("container"), c.Bool("quiet"), p.ErrOut)
	if err != nil {
		return err
	}
	return p.talk(c, conn, pod, func(s said) (string, runtime.Object) {
		return "exec", &corev1.PodExecOptions{
			Container: container.Name, Command: cmd, Stdin: s.stdin, Stdout: true, Stderr: !s.tty, TTY: s.tty,
		}
	}, c.Bool("tty"))
}

func (p *program) attach() *cobra.Command {
	return spec{
		name:  "attach",
		short: "connect to the process of a container",
		args:  "POD | TYPE/NAME",
		examples: examples(
			"skiff attach deployment/web",
			"skiff attach -it shell"),
		flags: talkFlags,
		run:   p.runAttach,
	}.command()
}

func (p *program) runAttach(c *call) error {
	conn, pod, err := p.podOf(c)
	if err != nil {
		return err
	}
	container, err := podcmd.FindOrDefaultContainerByName(pod, c.String("container"), c.Bool("quiet"), p.ErrOut)
	if err != nil {
		return err
	}
	if c.Bool("tty") && !container.TTY {
		printf(p.ErrOut, "error: Unable to use a TTY - container %s did not allocate one\n", container.Name)
	}
	if !c.Bool("quiet") && c.Bool("stdin") {
		printf(p.ErrOut, "If you don't see a command prompt, try pressing enter.\n")
	}
	return p.talk(c, conn, pod, func(s said) (string, runtime.Object) {
		return "attach", &corev1.PodAttachOptions{
			Container: container.Name, Stdin: s.stdin, Stdout: true, Stderr: !s.tty, TTY: s.tty,
		}
	}, c.Bool("tty") && container.TTY)
}

// podOf is the Pod that the command names, or one of those of what it names.
func (p *program) podOf(c *call) (*connection, *corev1.Pod, error) {
	r, err := p.request(c)
	if err != nil {
		return nil, nil, err
	}
	if len(r.args) > 1 || (len(r.args) == 0) != r.byFile {
		return nil, nil, c.usage("one Pod, TYPE/NAME or -f FILE is expected")
	}
	obj, err := r.one()
	if err != nil {
		return nil, nil, err
	}
	pod, err := r.podFor(obj, c.Duration("pod-running-timeout"))
	if err != nil {
		return nil, nil, err
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil, nil, errors.New("cannot exec into a container in a completed pod; current phase is " + string(pod.Status.Phase))
	}
	return r.connection, pod, nil
}
