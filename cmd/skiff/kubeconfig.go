package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
)

func (p *program) kubeconfig() *cobra.Command {
	return spec{
		name:  "kubeconfig",
		short: "print the kubeconfig of the instance, for kubectl, k9s and programs",
		long: `Whoever can read it can command the instance, and with it the Docker Engine:
it is stored readable by its owner only.`,
		examples: examples(
			"skiff kubeconfig > skiff.yaml && kubectl --kubeconfig skiff.yaml get pods",
			"skiff kubeconfig --merge && kubectl --context skiff get pods"),
		flags: func(f *flags) {
			f.Bool("merge", "", false, "add it as a context to your own kubeconfig instead ($KUBECONFIG or ~/.kube/config)")
		},
		run: p.runKubeconfig,
	}.command()
}

func (p *program) runKubeconfig(c *call) error {
	at, err := locate(c)
	if err != nil {
		return err
	}
	if _, err := at.process(); err != nil {
		return err
	}
	if c.Bool("merge") {
		return p.merge(at)
	}
	text, err := os.ReadFile(at.kubeconfig())
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	_, err = p.Out.Write(text)
	return err
}

func (p *program) merge(at place) error {
	own, err := clientcmd.LoadFromFile(at.kubeconfig())
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	options := clientcmd.NewDefaultPathOptions()
	users, err := options.GetStartingConfig()
	if err != nil {
		return fmt.Errorf("read your kubeconfig: %w", err)
	}
	name := own.CurrentContext
	cluster, user, entry := own.Clusters[name], own.AuthInfos[name], own.Contexts[name]
	if cluster == nil || user == nil || entry == nil {
		return fmt.Errorf("%s does not have what its context %q needs", at.kubeconfig(), name)
	}
	// Where it came from is where ModifyConfig would write it to.
	cluster.LocationOfOrigin, user.LocationOfOrigin, entry.LocationOfOrigin = "", "", ""
	users.Clusters[name], users.AuthInfos[name], users.Contexts[name] = cluster, user, entry
	if users.CurrentContext == "" {
		users.CurrentContext = name
	}
	if err := clientcmd.ModifyConfig(options, *users, false); err != nil {
		return fmt.Errorf("write your kubeconfig: %w", err)
	}
	printf(p.Out, "context %q is in %s: kubectl --context %[1]s get pods\n", name, options.GetDefaultFilename())
	return nil
}
