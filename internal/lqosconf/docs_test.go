package lqosconf

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKeysAreThoseOfTheStruct compares the table of keys with the toml tags of Config, in order.
func TestKeysAreThoseOfTheStruct(t *testing.T) {
	var want, got []string
	for _, k := range keys {
		want = append(want, k.name)
	}
	collectTags(reflect.TypeFor[Config](), "", func(name string, _ []int) { got = append(got, name) }, nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags of Config (-table of keys +tags):\n%s", diff)
	}
}

// TestReferenceIsTheTruth compares the first columns of docs/config.md with the table of keys and the defaults.
func TestReferenceIsTheTruth(t *testing.T) {
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if row := strings.TrimSpace(line); strings.HasPrefix(row, "| `") {
			got = append(got, firstColumns(t, row))
		}
	}
	defaults := defaultTexts()
	var want []string
	for _, k := range keys {
		unit, value := k.unit, defaults[k.name]
		if unit == "" {
			unit = "–"
		}
		if k.required {
			value = "required"
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s | %s |", k.name, k.kind, unit, value, k.allowed))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows of docs/config.md (-as they should start +as they do):\n%s", diff)
	}
}

// firstColumns cuts the last column, the meaning, off a row, which must not be empty.
func firstColumns(t *testing.T, row string) string {
	t.Helper()
	cut := strings.LastIndex(strings.TrimSuffix(row, " |"), " | ")
	if cut < 0 || len(strings.Trim(row[cut:], " |")) == 0 {
		t.Errorf("row without a meaning: %s", row)
		return row
	}
	return row[:cut] + " |"
}

// defaultTexts is, for each key, its value when it is not in the file, as docs/config.md writes it.
func defaultTexts() map[string]string {
	texts := map[string]string{}
	c := optional()
	c.Bridge, c.SingleInterface = &Bridge{}, &SingleInterface{}
	collectTags(reflect.TypeOf(c), "", func(name string, index []int) {
		v := reflect.ValueOf(c).FieldByIndex(index)
		switch {
		case v.Kind() == reflect.Pointer && v.IsNil():
			texts[name] = "unset"
		case v.Kind() == reflect.String:
			texts[name] = fmt.Sprintf("`%q`", v)
		default:
			texts[name] = fmt.Sprintf("`%v`", v)
		}
	}, nil)
	return texts
}

// collectTags calls visit with the full toml name and the field index of every value in a struct type.
func collectTags(typ reflect.Type, table string, visit func(name string, index []int), index []int) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		at := append(append([]int{}, index...), i)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			collectTags(inner, table+name+".", visit, at)
			continue
		}
		visit(table+name, at)
	}
}
