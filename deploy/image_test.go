package deploy_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// instruction is one line of a Dockerfile, continuations joined.
type instruction struct{ name, rest string }

// stages are the instructions of a Dockerfile by stage, the first one first.
func stages(t *testing.T, file string) [][]instruction {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, file), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var all [][]instruction
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "FROM" {
			all = append(all, nil)
		}
		if name != "" {
			last := len(all) - 1
			all[last] = append(all[last], instruction{name, strings.TrimSpace(rest)})
		}
	}
	return all
}

// TestImageBuilds runs the RUN lines of the Dockerfile's build stage in a copy of the tree,
// because the base of that stage can come from a registry only: the binary is static, carries its version, and answers.
// The lines that install Debian's compilers are not run. buildah makes the images from the binary.
func TestImageBuilds(t *testing.T) {
	t.Parallel()
	if os.Getenv("TESTKIT_IMAGE") == "" {
		t.Skip("it compiles the whole program again: make image runs it")
	}
	root := t.TempDir()
	copyTree(t, root)
	environment := os.Environ()
	for _, i := range stages(t, "Dockerfile")[0] {
		switch i.name {
		case "ARG":
			name, value, _ := strings.Cut(i.rest, "=")
			given, ok := map[string]string{"VERSION": "v9.8.7", "COMMIT": "c0ffee"}[name]
			if !ok {
				given = value
			}
			environment = append(environment, name+"="+given)
		case "RUN":
			if strings.Contains(i.rest, "apt-get") {
				continue
			}
			c := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(i.rest, "/out/", root+"/out/"))
			c.Dir, c.Env = filepath.Join(root, "src"), environment
			out, err := c.CombinedOutput()
			require.NoError(t, err, "RUN %s\n%s", i.rest, out)
		}
	}
	binary := filepath.Join(root, "out", "afterwrite")
	requireStatic(t, binary)
	answers(t, binary)
	assembled(t, filepath.Join(root, "out"))
}

const base = "gcr.io/distroless/static-debian13:nonroot"

// assembled makes the images of both Dockerfiles with buildah, of the binary in out and on a base of our own, because
// the real one is in a registry. The base has what they rely on: a user, a file of certificates and /tmp. The images
// carry what the Dockerfiles say, and the binary runs in them as their user.
func assembled(t *testing.T, out string) {
	t.Helper()
	dir := t.TempDir()
	buildah := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "buildah", append([]string{"--root", dir + "/root", "--runroot",
			dir + "/runroot", "--storage-driver", "vfs"}, args...)...)
		var errors strings.Builder
		c.Stderr = &errors
		said, err := c.Output()
		require.NoError(t, err, "buildah %s\n%s%s", args, said, &errors)
		return strings.TrimSpace(string(said))
	}
	build := func(tag, dockerfile, context string, args ...string) {
		t.Helper()
		require.NoError(t, os.WriteFile(dir+"/Dockerfile", []byte(dockerfile), 0o600))
		buildah(append(append([]string{"build", "--isolation", "chroot", "--format", "docker", "--platform", "linux/amd64",
			"--pull-never", "--tag", tag, "--file", dir + "/Dockerfile"}, args...), context)...)
	}
	place := func(name, text string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	place(dir+"/base/etc/passwd", "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
	place(dir+"/base/etc/ssl/certs/ca-certificates.crt", "")
	place(dir+"/base/tmp/.keep", "")
	place(dir+"/base/home/nonroot/.keep", "")
	build(base, "FROM scratch\nCOPY . /\nUSER 65532:65532\n", dir+"/base")

	binary, err := os.ReadFile(out + "/afterwrite")
	require.NoError(t, err)
	place(dir+"/release/linux/amd64/afterwrite", string(binary))
	require.NoError(t, os.Chmod(dir+"/release/linux/amd64/afterwrite", 0o755))
	build("release", read(t, "release.Dockerfile"), dir+"/release")
	whole := read(t, "Dockerfile")
	_, last, found := strings.Cut(whole, "\nFROM "+base)
	require.True(t, found)
	build("whole", "FROM "+base+last, dir+"/base", "--build-context", "build="+filepath.Dir(out))

	for _, image := range []string{"release", "whole"} {
		says := buildah("inspect", "--type", "image", "--format", "{{.Docker.Config.User}} {{.Docker.Config.Entrypoint}} "+
			"{{.Docker.Config.Cmd}} {{.Docker.Config.StopSignal}} {{.Docker.Config.Healthcheck.Test}}", image)
		require.Equal(t, "65532:65532 [/usr/local/bin/afterwrite] [api] SIGTERM "+
			"[CMD /usr/local/bin/afterwrite healthcheck api --live]", says, image)
		box := buildah("from", "--pull-never", image)
		require.Contains(t, buildah("run", "--isolation", "chroot", box, "--", "/usr/local/bin/afterwrite", "version"),
			"afterwrite v9.8.7, commit c0ffee")
	}
	// The directory of SQLite files is the user's: it can migrate there.
	config, err := filepath.Abs("afterwrite.yaml")
	require.NoError(t, err)
	for _, image := range []string{"release", "whole"} {
		box := buildah("from", "--pull-never", image)
		migrate := []string{"run", "--isolation", "chroot", "--volume", config + ":/etc/afterwrite.yaml:ro",
			"--env", "AFTERWRITE_CONFIG=/etc/afterwrite.yaml", "--env", "AFTERWRITE_REDIS_URL=" + testkit.SharedRedis(t).URL(),
			"--env", "AFTERWRITE_REDIS_PREFIX=" + testkit.Prefix(t),
			"--env", "AFTERWRITE_DATABASE_URL=sqlite:///var/lib/afterwrite/a.db",
			box, "--", "/usr/local/bin/afterwrite", "migrate"}
		buildah(migrate...)
		require.Contains(t, buildah(migrate...), "the database is up to date")
	}
}

// copyTree copies what git knows, and what is new, to root/src.
func copyTree(t *testing.T, root string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", "-ec",
		`mkdir -p "$1/src" && git ls-files -z --cached --others --exclude-standard | xargs -0 -n 500 sh -c 'to=$0; for f; do [ ! -f "$f" ] || cp --parents "$f" "$to/src"; done' "$1"`, "sh", root)
	c.Dir = ".."
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func requireStatic(t *testing.T, binary string) {
	t.Helper()
	f, err := elf.Open(binary)
	require.NoError(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it needs a loader")
	}
	libraries, err := f.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
}

// answers starts the API and asks it the way that the image's HEALTHCHECK does.
func answers(t *testing.T, binary string) {
	t.Helper()
	config, err := filepath.Abs("afterwrite.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	command := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), binary, args...)
	}
	environment := []string{"AFTERWRITE_CONFIG=" + config, "AFTERWRITE_REDIS_URL=" + testkit.SharedRedis(t).URL(),
		"AFTERWRITE_REDIS_PREFIX=" + testkit.Prefix(t), "AFTERWRITE_DATABASE_URL=sqlite://" + dir + "/a.db",
		"AFTERWRITE_API_ADDR=" + testkit.FreeAddr(t), "AFTERWRITE_API_DRAIN=0s"}
	run := func(args ...string) (string, error) {
		c := command(args...)
		c.Dir, c.Env = dir, environment
		out, err := c.CombinedOutput()
		return string(out), err
	}
	said, err := run("version")
	require.NoError(t, err, said)
	require.Contains(t, said, "afterwrite v9.8.7, commit c0ffee")
	said, err = run("migrate")
	require.NoError(t, err, said)
	said, err = run("healthcheck", "api", "--live")
	require.Error(t, err, said)
	api := command("api")
	api.Dir, api.Env = dir, environment
	require.NoError(t, api.Start())
	defer func() { _ = api.Process.Kill(); _ = api.Wait() }() // it has answered
	testkit.Eventually(t, "the API is ready", func() bool {
		_, err := run("healthcheck")
		return err == nil
	})
}

// TestImagesAreSmallAndBarred: the last stage has no shell to run, a user that is not root,
// a health check by the binary itself, and pinned versions; the image of a release agrees.
func TestImagesAreSmallAndBarred(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"Dockerfile", "release.Dockerfile"} {
		all := stages(t, file)
		kept := map[string]string{}
		for _, i := range all[len(all)-1] {
			require.NotEqual(t, "RUN", i.name, file)
			kept[i.name] = i.rest
		}
		require.Equal(t, "gcr.io/distroless/static-debian13:nonroot", kept["FROM"], file)
		require.Equal(t, "65532:65532", kept["USER"], file)
		require.Contains(t, kept["HEALTHCHECK"], `"/usr/local/bin/afterwrite", "healthcheck"`, file)
		require.Equal(t, "SIGTERM", kept["STOPSIGNAL"], file)
	}
	require.Regexp(t, `golang:\d+\.\d+\.\d+-`, stages(t, "Dockerfile")[0][0].rest)
}

// release is all that .goreleaser.yaml sets, by the names that goreleaser's own types give it.
type release struct {
	Version int    `yaml:"version"`
	Project string `yaml:"project_name"`
	Before  struct {
		Hooks []string `yaml:"hooks"`
	} `yaml:"before"`
	Builds []struct {
		ID      string   `yaml:"id"`
		Main    string   `yaml:"main"`
		Binary  string   `yaml:"binary"`
		GOOS    []string `yaml:"goos"`
		GOArch  []string `yaml:"goarch"`
		Env     []string `yaml:"env"`
		Flags   []string `yaml:"flags"`
		LDFlags []string `yaml:"ldflags"`
		Time    string   `yaml:"mod_timestamp"`
	} `yaml:"builds"`
	Archives []struct {
		Formats []string `yaml:"formats"`
		Files   []string `yaml:"files"`
	} `yaml:"archives"`
	Checksum struct {
		Name      string `yaml:"name_template"`
		Algorithm string `yaml:"algorithm"`
	} `yaml:"checksum"`
	SBOMs []struct {
		Artifacts string `yaml:"artifacts"`
	} `yaml:"sboms"`
	Dockers []struct {
		Dockerfile string   `yaml:"dockerfile"`
		Images     []string `yaml:"images"`
		Tags       []string `yaml:"tags"`
		Platforms  []string `yaml:"platforms"`
		SBOM       bool     `yaml:"sbom"`
		Flags      []string `yaml:"flags"`
	} `yaml:"dockers_v2"`
	Changelog struct {
		Disable bool `yaml:"disable"`
	} `yaml:"changelog"`
	Release struct {
		Draft bool `yaml:"draft"`
	} `yaml:"release"`
}

// TestReleaseBuildsAsTheImageDoes decodes .goreleaser.yaml strictly and holds it to the Dockerfile and to the tree.
// goreleaser itself is not run here.
func TestReleaseBuildsAsTheImageDoes(t *testing.T) {
	t.Parallel()
	var release release
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(read(t, "../.goreleaser.yaml")), &release, yaml.Strict()))
	require.Equal(t, "sha256", release.Checksum.Algorithm)
	require.NotEmpty(t, release.SBOMs)
	require.True(t, release.Dockers[0].SBOM)
	require.Contains(t, release.Dockers[0].Flags, "--provenance=mode=max")
	image := read(t, "Dockerfile")
	for _, b := range release.Builds {
		require.FileExists(t, filepath.Join("..", b.Main, "main.go"))
		require.Contains(t, image, "-tags "+strings.TrimPrefix(b.Flags[2], "-tags="))
		require.Contains(t, b.LDFlags[0], "-extldflags -static -X main.version={{ .Version }} -X main.commit=")
		require.Equal(t, []string{"amd64", "arm64"}, b.GOArch)
	}
	for _, pattern := range release.Archives[0].Files {
		found, err := filepath.Glob(filepath.Join("..", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
	}
	require.FileExists(t, filepath.Join("..", release.Dockers[0].Dockerfile))
	require.Equal(t, []string{"linux/amd64", "linux/arm64"}, release.Dockers[0].Platforms)
}
