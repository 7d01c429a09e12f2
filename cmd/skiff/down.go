package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"skiff/orchestrator"
)

func (p *program) down() *cobra.Command {
	return spec{
		name:  "down",
		short: "stop the containers, with their grace periods, and skiff",
		long: `What was created is kept and starts again with "skiff up". With --purge,
everything of the instance is removed: containers, networks, volumes and files.`,
		examples: examples("skiff down", "skiff --name test down --purge"),
		flags: func(f *flags) {
			f.Bool("purge", "", false, "remove everything of the instance")
		},
		run: p.runDown,
	}.command()
}

func (p *program) runDown(c *call) error {
	at, err := locate(c)
	if err != nil {
		return err
	}
	pid, err := at.running()
	if err != nil {
		return err
	}
	if pid == 0 && !c.Bool("purge") {
		return notRunning(at.name)
	}
	if pid != 0 {
		if err := at.stop(c.ctx, pid); err != nil {
			return err
		}
	}
	if !c.Bool("purge") {
		printf(p.Out, "skiff stopped; what was created starts again with \"%s up\"\n", skiffFor(at.name))
		return nil
	}
	if err := p.forget(at); err != nil {
		return err
	}
	switch err := at.purge(c.ctx); {
	case errors.Is(err, orchestrator.ErrNoInstance):
		printf(p.Out, "there is no instance %q in %s\n", at.name, at.dir)
	case err != nil:
		return fmt.Errorf("remove instance %q: %w", at.name, err)
	default:
		printf(p.Out, "instance %q removed\n", at.name)
	}
	return nil
}

// forget takes the instance out of the user's own kubeconfig, if it is there.
func (p *program) forget(at place) error {
	own, err := clientcmd.LoadFromFile(at.kubeconfig())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		printf(p.ErrOut, "Warning: cannot read %s: %v\n", at.kubeconfig(), err)
		return nil
	}
	options := clientcmd.NewDefaultPathOptions()
	users, err := options.GetStartingConfig()
	if err != nil {
		printf(p.ErrOut, "Warning: cannot look for skiff in your kubeconfig: %v\n", err)
		return nil
	}
	name := own.CurrentContext
	mine, theirs := own.Clusters[name], users.Clusters[name]
	if mine == nil || theirs == nil || string(mine.CertificateAuthorityData) != string(theirs.CertificateAuthorityData) {
		return nil
	}
	delete(users.Clusters, name)
	delete(users.AuthInfos, name)
	delete(users.Contexts, name)
	if users.CurrentContext == name {
		users.CurrentContext = ""
	}
	if err := clientcmd.ModifyConfig(options, *users, false); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove context %s from your kubeconfig: %w", name, err)
	}
	return nil
}
