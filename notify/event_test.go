package notify

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/model"
)

// TestTransition holds lines and subjects that keepalived 2.2.7 was seen to
// write.
func TestTransition(t *testing.T) {
	tests := []struct {
		transition    Transition
		line, subject string
		args          []string
	}{
		{Transition{Object: Instance, Name: "VI_1", State: Master, Priority: 150},
			"INSTANCE \"VI_1\" MASTER 150\n", "VRRP Instance VI_1 - Entering MASTER state",
			[]string{"INSTANCE", "VI_1", "MASTER", "150"}},
		{Transition{Object: Group, Name: "VG", State: Backup, Priority: 150},
			"GROUP \"VG\" BACKUP 0\n", "VRRP Group VG - Entering BACKUP state",
			[]string{"GROUP", "VG", "BACKUP", "0"}},
		{Transition{Object: Instance, Name: "VI_2", State: Fault, Priority: 1},
			"INSTANCE \"VI_2\" FAULT 1\n", "VRRP Instance VI_2 - Entering FAULT state",
			[]string{"INSTANCE", "VI_2", "FAULT", "1"}},
		{Transition{Object: Instance, Name: "VI_3", State: Deleted, Priority: 150},
			"INSTANCE \"VI_3\" DELETED 150\n", "VRRP Instance VI_3 - Deleted",
			[]string{"INSTANCE", "VI_3", "DELETED", "150"}},
		{Transition{Object: Instance, Name: "V", State: Stop, Priority: 254},
			"INSTANCE \"V\" STOP 254\n", "VRRP Instance V - Stopping",
			[]string{"INSTANCE", "V", "STOP", "254"}},
		{Transition{Object: Instance, Name: "V", State: MasterPriority, Priority: 155},
			"INSTANCE \"V\" MASTER_PRIORITY 155\n", "", []string{"INSTANCE", "V", "MASTER_PRIORITY", "155"}},
		{Transition{Object: Instance, Name: "V", State: MasterRxLowerPri, Priority: 155},
			"INSTANCE \"V\" MASTER_RX_LOWER_PRI 155\n", "", []string{"INSTANCE", "V", "MASTER_RX_LOWER_PRI", "155"}},
	}
	for _, tt := range tests {
		if got := tt.transition.Line(); got != tt.line {
			t.Errorf("line = %q, want %q", got, tt.line)
		}
		if got := tt.transition.Subject(); got != tt.subject {
			t.Errorf("subject = %q, want %q", got, tt.subject)
		}
		if diff := cmp.Diff(tt.args, tt.transition.Args()); diff != "" {
			t.Errorf("arguments (-want +got):\n%s", diff)
		}
	}
}

func TestScriptsFor(t *testing.T) {
	script := func(name string) *model.Script { return &model.Script{Argv: []string{name}, User: "u"} }
	all := Scripts{
		Master: script("m"), Backup: script("b"), Fault: script("f"), Stop: script("s"), Deleted: script("d"),
		MasterRxLowerPri: script("l"), Generic: &model.Script{Command: "g 'a b'", User: "u"},
	}
	noDeleted := all
	noDeleted.Deleted = nil
	event := noDeleted
	event.DeletedEvent = true
	broken := Scripts{Generic: &model.Script{Command: "g 'a"}}
	generic := func(state string) []string { return []string{"g", "a b", "INSTANCE", "V", state, "9"} }
	tests := []struct {
		name    string
		scripts Scripts
		state   State
		want    [][]string
		told    State
	}{
		{"master", all, Master, [][]string{{"m"}, generic("MASTER")}, Master},
		{"backup", all, Backup, [][]string{{"b"}, generic("BACKUP")}, Backup},
		{"fault", all, Fault, [][]string{{"f"}, generic("FAULT")}, Fault},
		{"stop", all, Stop, [][]string{{"s"}, generic("STOP")}, Stop},
		{"deleted", all, Deleted, [][]string{{"d"}, generic("DELETED")}, Deleted},
		{"deleted as an event", event, Deleted, [][]string{generic("DELETED")}, Deleted},
		{"deleted as a fault", noDeleted, Deleted, [][]string{{"f"}, generic("FAULT")}, Fault},
		{"lower priority", all, MasterRxLowerPri, [][]string{{"l"}}, MasterRxLowerPri},
		{"priority", all, MasterPriority, nil, MasterPriority},
		{"priority of a backup", all, BackupPriority, nil, BackupPriority},
		{"none", Scripts{}, Master, nil, Master},
		{"broken", broken, Master, [][]string{nil}, Master},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			told := tt.scripts.Adjust(Transition{Object: Instance, Name: "V", State: tt.state, Priority: 9})
			var got [][]string
			for _, s := range tt.scripts.For(told) {
				got = append(got, s.Argv)
				if s.User != "u" && tt.name != "broken" {
					t.Errorf("script %v lost its user", s.Argv)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || told.State != tt.told {
				t.Errorf("told as %s, want %s; scripts (-want +got):\n%s", told.State, tt.told, diff)
			}
		})
	}
	if len(all.Generic.Argv) != 0 {
		t.Errorf("the configuration was changed: %q", all.Generic.Argv)
	}
}

func TestServiceAndServer(t *testing.T) {
	vs := ServiceChange{Service: "[192.0.2.1]:tcp:80", Up: true}
	rs := ServerChange{Server: "[10.0.0.5]:tcp:8080", Service: "[192.0.2.1]:tcp:80"}
	mark := ServerChange{Server: "[10.0.0.5]:tcp:0", Service: "FWM 7", Up: true}
	tests := []struct{ got, want string }{
		{vs.Line(), "VS [192.0.2.1]:tcp:80 UP\n\x00"},
		{rs.Line(), "RS [10.0.0.5]:tcp:8080 [192.0.2.1]:tcp:80 DOWN\n\x00"},
		{mark.Line(), "RS [10.0.0.5]:tcp:0 FWM 7 UP\n\x00"},
		{vs.Subject(), "Virtualserver [192.0.2.1]:tcp:80 - UP"},
		{rs.Subject(), "Realserver [10.0.0.5]:tcp:8080 of virtual server [192.0.2.1]:tcp:80 - DOWN"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
