package main

// excuse allows one skip in CI.
type excuse struct {
	// pkg is the package inside the module, test the name as it is counted.
	pkg, test string
	// because is why the machine of a CI run cannot provide what is missing.
	because string
}

// A machine that cannot run here counts as a skipped test of this package, with
// the name of its kernel.
const (
	kernels     = "internal/guest"
	unreachable = "its kernel comes from the Debian archive, which may be out of reach, and may not start where processes or memory are confined"
)

// excuses returns the skips that CI accepts. Anything that a Debian package or
// root can provide does not belong here.
func excuses() []excuse {
	return []excuse{
		{"internal/lab", "TestVictim", "it is the child process that TestCleanAfterKill kills"},
		{"loader", "TestVictim", "it is the child process that the crash tests kill"},
		{kernels, "uml", unreachable}, {kernels, "6.1", unreachable}, {kernels, "6.12", unreachable}, {kernels, "newest", unreachable},
	}
}

// failUnexcusedSkips turns skips into failures.
func failUnexcusedSkips(results []result, allowed []excuse) {
	for i := range results {
		r := &results[i]
		if r.outcome != skipped || excused(*r, allowed) {
			continue
		}
		r.outcome = failed
		r.text = "skipped, which CI does not allow: " + r.text + "\n"
	}
}

func excused(r result, allowed []excuse) bool {
	for _, e := range allowed {
		if e.test == r.test && e.pkg == short(r.pkg) {
			return true
		}
	}
	return false
}
