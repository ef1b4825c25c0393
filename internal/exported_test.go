package internal_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// openRooms are the packages that other modules can import.
var openRooms = strings.Fields(`. schema operate afterwritetest cache cache/events cache/pending cache/rank cache/values
	cache/httpcache cache/ratelimit cache/session cache/ticket store store/ledger store/catalog store/sqlite
	store/storetest producer producer/api worker dashboard`)

// TestExportedTypes: a caller can name the type of every exported field, parameter and result.
func TestExportedTypes(t *testing.T) {
	for _, room := range openRooms {
		files := goFiles(t, room)
		require.NotEmpty(t, files, room)
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			require.NoError(t, err)
			for what, name := range hidden(parsed) {
				t.Errorf("%s: %s has the type %s, which is not exported", filepath.Base(file), what, name)
			}
		}
	}
}

func TestExportedTypesBite(t *testing.T) {
	found := map[string]string{}
	text := `package p
		type T[V any] struct { A V; B []hid; c hid; E *q.Fine; error }
		type I interface { M(hid) }
		func F(a string, b map[string]*hid) error { return nil }
		func (t *T[V]) G() (hid, V) { panic(0) }
		func (t *inner) H() hid { panic(0) }
		func k(hid) {}`
	parsed, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0)
	require.NoError(t, err)
	for what := range hidden(parsed) {
		found[what] = ""
	}
	require.Equal(t, map[string]string{"T.B": "", "I.M": "", "F": "", "G": ""}, found)
}

// hidden finds what is exported with a type that is not, and its type.
func hidden(file *ast.File) map[string]string {
	found := map[string]string{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || unexported(d.Recv, nil) == "") {
				note(found, d.Name.Name, unexported(d.Type, parameters(d)))
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
					hiddenIn(found, s)
				}
			}
		}
	}
	return found
}

func hiddenIn(found map[string]string, s *ast.TypeSpec) {
	var fields *ast.FieldList
	switch of := s.Type.(type) {
	case *ast.StructType:
		fields = of.Fields
	case *ast.InterfaceType:
		fields = of.Methods
	default:
		return
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			if name.IsExported() {
				note(found, s.Name.Name+"."+name.Name, unexported(field.Type, of(s.TypeParams)))
			}
		}
	}
}

func note(found map[string]string, what, name string) {
	if name != "" {
		found[what] = name
	}
}

// parameters are the type parameters that a function or its receiver has.
func parameters(d *ast.FuncDecl) []string {
	names := of(d.Type.TypeParams)
	if d.Recv != nil {
		ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				names = append(names, id.Name)
			}
			return true
		})
	}
	return names
}

func of(list *ast.FieldList) (names []string) {
	if list != nil {
		for _, field := range list.List {
			for _, name := range field.Names {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// unexported returns a name of a type within an expression that no other package can name; "" if there is none.
func unexported(n ast.Node, known []string) (name string) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			return false // of another package, and exported
		case *ast.Field:
			name = cmp.Or(name, unexported(n.Type, known)) // not the names of parameters
			return false
		case *ast.Ident:
			if !n.IsExported() && types.Universe.Lookup(n.Name) == nil && !slices.Contains(known, n.Name) {
				name = n.Name
			}
		}
		return true
	})
	return name
}

func goFiles(t *testing.T, room string) (files []string) {
	all, err := filepath.Glob(filepath.Join("..", room, "*.go"))
	require.NoError(t, err)
	for _, file := range all {
		if !strings.HasSuffix(file, "_test.go") {
			files = append(files, file)
		}
	}
	return files
}
