package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/lbmaps"
	"github.com/evenkeel/evenkeel/loader"
)

// mapOptions are the flags of map.
type mapOptions struct {
	pinDir    string
	json, all bool
}

func (e *env) mapCommand() *cobra.Command {
	var o mapOptions
	c := &cobra.Command{
		Use:   "map [NAME]",
		Short: "Print a map of the datapath with names and addresses, or list the maps",
		Long: `Print a map of the datapath, each entry on a line, with the field names that
bpftool prints too, and addresses, ports and MACs as people write them. Without a
name it lists the maps. Entries of arrays that are zero are left out, unless --all is given.

It reads the pinned maps, whether or not a daemon runs. docs/maps.md explains
each of them.`,
		Example:   "  evenkeel map ek_services",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: lbmaps.Names(),
		RunE:      func(_ *cobra.Command, args []string) error { return printMap(e, o, args) },
	}
	c.Flags().StringVar(&o.pinDir, "pin-dir", loader.DefaultDir, "`directory` where the datapath is pinned")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().BoolVar(&o.all, "all", false, "print entries that are zero, too")
	return c
}

func printMap(e *env, o mapOptions, args []string) error {
	view, err := loader.Open(o.pinDir)
	if err != nil {
		return err
	}
	defer view.Close()
	if len(args) == 0 {
		return e.listMaps(view, o)
	}
	out := bufio.NewWriter(e.stdout)
	if o.json {
		err = dumpJSON(out, e, view, args[0], o.all)
	} else {
		err = view.DumpMap(args[0], o.all, func(entry lbmaps.Entry) bool {
			_, err := fmt.Fprintln(out, entryLine(entry))
			return err == nil
		})
	}
	if errors.Is(err, lbmaps.ErrNoMap) {
		return &exitError{code: exitUsage, err: fmt.Errorf("%w; evenkeel map lists them", err)}
	}
	return errors.Join(err, out.Flush())
}

func dumpJSON(out io.Writer, e *env, view *loader.View, name string, all bool) error {
	entries := []lbmaps.Entry{}
	if err := view.DumpMap(name, all, func(entry lbmaps.Entry) bool { entries = append(entries, entry); return true }); err != nil {
		return err
	}
	return (&env{stdout: out, stderr: e.stderr}).printJSON(entries)
}

func (e *env) listMaps(view *loader.View, o mapOptions) error {
	shapes, err := view.MapShapes()
	if err != nil {
		return err
	}
	if o.json {
		return e.printJSON(shapes)
	}
	out := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "MAP\tTYPE\tENTRIES\tKEY\tVALUE")
	for _, s := range shapes {
		entries := fmt.Sprint(s.MaxEntries)
		if s.Maps > 0 {
			entries = fmt.Sprintf("%d maps of %d", s.Maps, s.MaxEntries)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Type, entries, s.Key, s.Value)
	}
	return out.Flush()
}

// entryLine is an entry as key and value, or key and the values of the CPUs
// that have one.
func entryLine(e lbmaps.Entry) string {
	var b strings.Builder
	if e.Place != nil {
		fmt.Fprintf(&b, "%d: ", *e.Place)
	}
	fmt.Fprintf(&b, "%v:", e.Key)
	if e.CPUs == nil {
		fmt.Fprintf(&b, " %v", e.Value)
	}
	for cpu, v := range e.CPUs {
		fmt.Fprintf(&b, " cpu%d {%v}", cpu, v)
	}
	return b.String()
}
