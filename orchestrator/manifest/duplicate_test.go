package manifest

import (
	"testing"
)

func TestDuplicates(t *testing.T) {
	t.Parallel()
	read := func(file, text string) []*Document {
		docs, err := Parse(file, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return docs
	}
	docs := read("a.yaml", `apiVersion: v1
kind: ConfigMap
metadata:
  name: x
---
apiVersion: v1
kind: Secret
metadata:
  name: x
---
apiVersion: v1
kind: ConfigMap
metadata:
  generateName: made-
---
apiVersion: v1
kind: ConfigMap
metadata:
  generateName: made-
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: x
  namespace: other
`)
	if errs := Duplicates(docs, "default"); len(errs) > 0 {
		t.Errorf("nothing is there twice, got: %v", errs)
	}
	docs = append(docs, read("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: default\n  name: x\n")...)
	want := `b.yaml:5: metadata.name: ConfigMap "x" is described twice, first at a.yaml:4`
	if errs := Duplicates(docs, "default"); len(errs) != 1 || errs.Error() != want {
		t.Errorf("got %v, want %s", errs, want)
	}
}
