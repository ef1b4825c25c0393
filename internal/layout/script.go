package layout

import (
	_ "embed"
	"io/fs"
	"regexp"
	"strings"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

//go:embed prelude.lua
var prelude string

// Load makes a script of the file lua/NAME.lua, whose header documents its keys, arguments and reply. The functions of
// prelude.lua that it calls are prepended. A missing file is an error of the build; Load panics.
func Load(files fs.FS, name string) *rdb.Script {
	text, err := fs.ReadFile(files, "lua/"+name+".lua")
	if err != nil {
		panic(err)
	}
	// The first line distinguishes the scripts where only the head of the source is shown.
	return rdb.Load(name, "-- "+name+"\n"+shared(string(text))+string(text))
}

// function is a function of prelude.lua.
type function struct {
	text          string
	calls, itself *regexp.Regexp
}

var (
	defined   = regexp.MustCompile(`(?m)^local function (\w+)\(`)
	comment   = regexp.MustCompile(`(?m)(?:^|\s)--.*$`)
	functions = parse(prelude)
)

func parse(prelude string) []function {
	var all []function
	for block := range strings.SplitSeq(prelude, "\n\n") {
		if name := defined.FindStringSubmatch(block); name != nil {
			all = append(all, function{
				text:   comment.ReplaceAllString(block, "") + "\n",
				calls:  regexp.MustCompile(`\b` + name[1] + `\(`),
				itself: regexp.MustCompile(`local function ` + name[1] + `\(`),
			})
		}
	}
	return all
}

// shared returns the text of the prelude functions that a script calls, directly or through another of them, in the
// order of prelude.lua: a function calls only functions above it. A script can define a function of the same name
// itself.
func shared(script string) string {
	code, text := comment.ReplaceAllString(script, ""), ""
	for i := len(functions) - 1; i >= 0; i-- {
		f := functions[i]
		if f.calls.MatchString(code) && !f.itself.MatchString(code) {
			code, text = f.text+code, f.text+text
		}
	}
	return strings.TrimLeft(text, "\n")
}
