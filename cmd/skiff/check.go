package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/check"
	"skiff/orchestrator/manifest"
)

func (p *program) check() *cobra.Command {
	return spec{
		name:  "check",
		short: "tell what skiff would say to manifests, without running anything",
		args:  "FILE | DIRECTORY…",
		long: `Prints, with file, line and field, what skiff refuses, what it accepts with a
warning or without effect, what does not fit together, and what would be
different on a cluster. No daemon is needed. The exit code is 1 if something is
refused.`,
		examples: examples(
			"skiff check web.yaml",
			"skiff check -R deploy -o json"),
		flags: func(f *flags) {
			fileFlags(f)
			f.String("output", "o", "", "print the findings as `FORMAT`: json")
		},
		run: p.runCheck,
	}.command()
}

func (p *program) runCheck(c *call) error {
	files := append(c.StringSlice("filename"), c.args...)
	if len(files) == 0 {
		return c.usage("a file or directory to check is missing")
	}
	output := c.String("output")
	if output != "" && output != "json" {
		return c.usage(fmt.Sprintf("no output format %q: only json", output))
	}
	docs, broken, err := manifest.Read(c.ctx, manifest.Options{Files: files, Recursive: c.Bool("recursive"), Stdin: p.In})
	if err != nil {
		return err
	}
	broken = append(broken, manifest.Duplicates(docs, metav1.NamespaceDefault)...)
	findings := check.Manifests(docs, broken)
	if output == "json" {
		err = p.printFindings(findings)
	} else {
		p.listFindings(findings)
	}
	if err == nil && count(findings, check.Refused) > 0 {
		err = errReported
	}
	return err
}

func (p *program) printFindings(findings []check.Finding) error {
	if findings == nil {
		findings = []check.Finding{}
	}
	encoder := json.NewEncoder(p.Out)
	encoder.SetIndent("", "    ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(findings)
}

func (p *program) listFindings(findings []check.Finding) {
	for _, f := range findings {
		printf(p.Out, "%s\n", f)
	}
	warnings := count(findings, check.Warning)
	noun := "warnings"
	if warnings == 1 {
		noun = "warning"
	}
	printf(p.Out, "%d refused, %d %s, %d different on a cluster\n",
		count(findings, check.Refused), warnings, noun, count(findings, check.Cluster))
}

func count(findings []check.Finding, level check.Level) int {
	n := 0
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n
}
