package main

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/kubectl/pkg/cmd/get"
	"k8s.io/kubectl/pkg/scheme"
)

// Printers are put together here and not by kubectl's flag sets: those know Go
// templates as well, and a program in which a template can call any method keeps
// every method that it was compiled with; a test watches it.

// say prints what has been done to an object, in the form that -o asks for.
func (p *program) say(c *call, obj runtime.Object, done string) error {
	var printer printers.ResourcePrinter = &printers.NamePrinter{Operation: done}
	if output := c.String("output"); output != "" {
		var err error
		if printer, err = formatPrinter(output, false); err != nil {
			return err
		}
	}
	return withKinds(printer).PrintObj(obj, p.Out)
}

// withKinds fills in apiVersion and kind, which typed objects come without.
func withKinds(printer printers.ResourcePrinter) printers.ResourcePrinter {
	return printers.NewTypeSetter(scheme.Scheme).ToPrinter(printer)
}

// formatPrinter prints in the forms that are meant for programs.
func formatPrinter(format string, managedFields bool) (printers.ResourcePrinter, error) {
	kind, argument, _ := strings.Cut(format, "=")
	var printer printers.ResourcePrinter
	switch strings.ToLower(kind) {
	case "json":
		printer = &printers.JSONPrinter{}
	case "yaml":
		printer = &printers.YAMLPrinter{}
	case "name":
		return &printers.NamePrinter{ShortOutput: true}, nil
	case "jsonpath", "jsonpath-file", "jsonpath-as-json":
		return jsonPathPrinter(kind, argument)
	default:
		return nil, fmt.Errorf("unable to match a printer suitable for the output format %q, allowed formats are: json, yaml, name, jsonpath, jsonpath-as-json, jsonpath-file", format)
	}
	if !managedFields {
		printer = &printers.OmitManagedFieldsPrinter{Delegate: printer}
	}
	return printer, nil
}

func jsonPathPrinter(kind, argument string) (printers.ResourcePrinter, error) {
	if argument == "" {
		return nil, fmt.Errorf("template format specified but no template given: -o %s=TEMPLATE", kind)
	}
	if kind == "jsonpath-file" {
		text, err := os.ReadFile(argument)
		if err != nil {
			return nil, fmt.Errorf("read template: %w", err)
		}
		argument = string(text)
	}
	printer, err := printers.NewJSONPathPrinter(argument)
	if err != nil {
		return nil, fmt.Errorf("error parsing jsonpath %s, %w", argument, err)
	}
	printer.AllowMissingKeys(true)
	if kind == "jsonpath-as-json" {
		printer.EnableJSONOutput(true)
	}
	return printer, nil
}

// columnsPrinter prints the columns that the user describes, by -o
// custom-columns=NAME:PATH,… or by a file of them.
func columnsPrinter(format string, noHeaders bool) (printers.ResourcePrinter, error) {
	kind, argument, _ := strings.Cut(format, "=")
	decoder := scheme.Codecs.UniversalDecoder(scheme.Scheme.PrioritizedVersionsAllGroups()...)
	if kind == "custom-columns-file" {
		file, err := os.Open(argument)
		if err != nil {
			return nil, fmt.Errorf("read template: %w", err)
		}
		defer file.Close()
		return get.NewCustomColumnsPrinterFromTemplate(file, decoder)
	}
	return get.NewCustomColumnsPrinterFromSpec(argument, decoder, noHeaders)
}
