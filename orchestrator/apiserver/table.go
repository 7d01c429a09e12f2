package apiserver

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"time"
)

// nameAndAge are the columns of kinds that define none.
var nameAndAge = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "Name of the object."},
	{Name: "Age", Type: "string", Description: "Time since the object was created."},
}

// table is what kubectl get prints.
func (r *request) table(objects []object, about metav1.ListMeta) (*metav1.Table, error) {
	var options metav1.TableOptions
	if err := metav1.Convert_url_Values_To_v1_TableOptions(&r.query, &options, nil); err != nil {
		return nil, badQuery(err)
	}
	if err := invalidOptions("TableOptions", metavalidation.ValidateTableOptions(&options)); err != nil {
		return nil, err
	}
	k := r.kind
	table := &metav1.Table{
		TypeMeta:          metav1.TypeMeta{Kind: asTable, APIVersion: metav1.SchemeGroupVersion.String()},
		ListMeta:          about,
		ColumnDefinitions: k.Columns,
		Rows:              make([]metav1.TableRow, 0, len(objects)),
	}
	if k.Row == nil {
		table.ColumnDefinitions = nameAndAge
	}
	for _, obj := range objects {
		row := metav1.TableRow{Cells: k.cells(obj), Object: runtime.RawExtension{Object: partialOf(obj)}}
		switch options.IncludeObject {
		case metav1.IncludeNone:
			row.Object = runtime.RawExtension{}
		case metav1.IncludeObject:
			row.Object.Object = withKind(obj, k.GVK)
		}
		if len(row.Cells) != len(table.ColumnDefinitions) {
			return nil, fmt.Errorf("make table of %s: %d cells in %d columns", k.Plural, len(row.Cells), len(table.ColumnDefinitions))
		}
		table.Rows = append(table.Rows, row)
	}
	return table, nil
}

func (k *kind) cells(obj object) []any {
	if k.Row != nil {
		return k.Row(obj)
	}
	return []any{obj.GetName(), duration.HumanDuration(time.Since(obj.GetCreationTimestamp().Time))}
}
