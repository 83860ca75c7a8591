package ipvs

import (
	"errors"
	"strings"
	"testing"
)

// Without IPVS the start fails, in one line that names the module and says
// what to do; it never reports success.
func TestNoIPVS(t *testing.T) {
	asked := 0
	v, err := Start(t.Context(), Options{family: "NO_IPVS", load: func() error {
		asked++
		return errors.New("modprobe: module ip_vs not found")
	}})
	if !errors.Is(err, ErrNoIPVS) || v != nil {
		t.Fatalf("Start = %v, %v; want ErrNoIPVS", v, err)
	}
	if asked != 1 {
		t.Errorf("asked for the module %d times, want once", asked)
	}
	text := err.Error()
	for _, want := range []string{"module ip_vs", "modprobe: module ip_vs not found", "CONFIG_IP_VS"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("%q is more than a line", text)
	}
}
