package config

import (
	"maps"
	"reflect"
	"strings"
	"testing"
)

// samples gives each keyword that runs a line that must change the outcome.
func samples() map[string]map[string]string {
	timing := map[string]string{
		"delay_loop": "delay_loop 7", "retry": "retry 7", "delay_before_retry": "delay_before_retry 7",
		"warmup": "warmup 7", "connect_timeout": "connect_timeout 7", "alpha": "alpha",
	}
	all := map[string]map[string]string{
		"": {
			"global_defs": "global_defs { router_id x\n}", "instance": "instance x", "use_pid_dir": "use_pid_dir", "net_namespace": "net_namespace x", "SSL": "SSL { ca /x\n}",
			"virtual_server_group": "virtual_server_group g { 192.0.2.7 80\n}",
			"virtual_server":       "virtual_server 192.0.2.2 80 { protocol TCP\nreal_server 198.51.100.9 80 { }\n}",
		},
		"global_defs": {
			"router_id": "router_id x", "lvs_sync_daemon": "lvs_sync_daemon eth0 id 7", "lvs_timeouts": "lvs_timeouts udp 7", "checker_log_all_failures": "checker_log_all_failures", "rs_init_notifies": "rs_init_notifies",
			"state_dump_file": "state_dump_file /x", "stats_dump_file": "stats_dump_file /x", "json_dump_file": "json_dump_file /x", "json_version": "json_version 2",
			"reload_check_config": "reload_check_config /x",
			"smtp_alert_checker":  "}\nvirtual_server 192.0.2.9 80 {\nprotocol TCP\nreal_server 198.51.100.9 80 {\n}\n}\nglobal_defs { => smtp_alert_checker", "lvs_notify_fifo": "lvs_notify_fifo /x", "lvs_notify_fifo_script": "lvs_notify_fifo /x => lvs_notify_fifo_script /y",
			"lvs_flush": "lvs_flush", "lvs_flush_on_stop": "lvs_flush_on_stop", "lvs_flush_onstop": "lvs_flush_onstop",
			"datapath": "datapath xdp", "xdp_interface": "xdp_interface eth7", "xdp_mode": "xdp_mode generic", "flow_table": "flow_table 65536",
			"random_seed": "random_seed 7\nrouter_id ${_RANDOM}", "include_check": "include_check match\ninclude *.none",
		},
		"virtual_server": {
			"datapath": "datapath xdp", "lb_algo": "lb_algo mh", "lvs_sched": "lvs_sched mh", "lb_kind": "lb_kind DR", "lvs_method": "lvs_method DR",
			"persistence_engine": "protocol UDP\npersistence_timeout 60 => persistence_engine sip",
			"protocol":           "protocol UDP", "persistence_timeout": "persistence_timeout", "persistence_granularity": "persistence_granularity 24",
			"real_server": "real_server 198.51.100.9 80 { }", "sorry_server": "sorry_server 198.51.100.9 80",
			"sorry_server_inhibit": "sorry_server_inhibit", "sorry_server_lvs_method": "sorry_server 198.51.100.9 80\nsorry_server_lvs_method DR",
			"quorum": "weight 9\nquorum 7", "hysteresis": "weight 9\nquorum 7\nhysteresis 3", "omega": "omega", "inhibit_on_failure": "inhibit_on_failure",
			"ha_suspend": "ha_suspend", "quorum_up": "quorum_up /x", "quorum_down": "quorum_down /x", "smtp_alert": "smtp_alert",
			"ip_family":   "}\nvirtual_server fwmark 7 {\nlvs_method TUN\nreal_server 198.51.100.9 {\n} => ip_family inet6",
			"virtualhost": "virtualhost a.example", "weight": "weight 7", "ops": "protocol UDP\nops", "flag-1": "flag-1", "flag-2": "flag-2", "flag-3": "flag-3",
			"new_flow_rate": "new_flow_rate 1000 50",
			"sh-port":       "lb_algo sh\nsh-port", "sh-fallback": "lb_algo sh\nsh-fallback", "mh-port": "lb_algo mh\nmh-port", "mh-fallback": "lb_algo mh\nmh-fallback",
		},
		"real_server": {
			"weight": "weight 7", "lvs_method": "lvs_method DR", "inhibit_on_failure": "inhibit_on_failure",
			"notify_up": "notify_up /x", "notify_down": "notify_down /x", "smtp_alert": "smtp_alert off",
			"uthreshold": "uthreshold 7", "lthreshold": "uthreshold 8\nlthreshold 7", "virtualhost": "virtualhost a.example",
			"TCP_CHECK": "TCP_CHECK { }", "HTTP_GET": "HTTP_GET {\nurl { path / }\n}", "SSL_GET": "SSL_GET {\nurl { path / }\n}", "SMTP_CHECK": "SMTP_CHECK { }",
			"DNS_CHECK": "DNS_CHECK { }", "UDP_CHECK": "UDP_CHECK { }", "PING_CHECK": "PING_CHECK { }", "MISC_CHECK": "MISC_CHECK {\nmisc_path /bin/true\n}",
			"FILE_CHECK": "FILE_CHECK {\ntrack_file one\n}",
		},
	}
	maps.Copy(all, checkSamples(timing))
	for k, line := range timing {
		for _, name := range []string{"virtual_server", "real_server"} {
			all[name][k] = line
		}
	}
	for name, lines := range vrrpSamples() {
		if all[name] == nil {
			all[name] = make(map[string]string)
		}
		maps.Copy(all[name], lines)
	}
	return all
}

// TestRunningKeywordsHaveAnEffect keeps the table honest: a keyword that it
// says runs changes the outcome, and the samples list no other.
func TestRunningKeywordsHaveAnEffect(t *testing.T) {
	frame := map[string]string{
		"":               "virtual_server group g {\nprotocol TCP\nreal_server 198.51.100.7 80 {\n}\n}\n" + checkFrames()["SSL_GET"] + "\n" + instanceWith("") + "%\n",
		"virtual_server": "virtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 198.51.100.1 80 {\nHTTP_GET {\nurl { path / }\n}\n}\n%\n}",
		"real_server":    "track_file one {\nfile /one\n}\nvirtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 198.51.100.1 80 {\nHTTP_GET {\nurl { path / }\n}\n%\n}\n}",
	}
	maps.Copy(frame, checkFrames())
	maps.Copy(frame, vrrpFrames())
	have := samples()
	for name, c := range newLanguage() {
		for word, k := range c.keywords {
			line, ok := have[name][word]
			if ok != (k.status == Runs) {
				t.Errorf("%s in %q: status %s, sample %q", word, name, k.status, line)
				continue
			}
			if !ok {
				continue
			}
			before := ""
			if before, line, ok = strings.Cut(line, " => "); !ok { // what the line needs stands before the arrow
				before, line = "", before
			}
			base := load2(strings.Replace(frame[name], "%", before, 1))
			with := load2(strings.Replace(frame[name], "%", before+"\n"+line, 1))
			if reflect.DeepEqual(base, with) {
				t.Errorf("%s in %q has no effect: %q", word, name, line)
			}
		}
	}
}

// load2 returns what a text means, without its complaints, and whether it can
// be used.
func load2(s string) any {
	c, err := loadText(s)
	if err != nil {
		return false
	}
	return []any{c.Global, c.Services, c.VRRP}
}

// TestLanguage checks the shape of the table.
func TestLanguage(t *testing.T) {
	l := newLanguage()
	words := make(map[string]bool)
	for name, c := range l {
		if c.name != name {
			t.Errorf("context %q is filed under %q", c.name, name)
		}
		for word, k := range c.keywords {
			words[word] = true
			if k.name != word || k.priority == "" || k.status == "" || k.status == Unknown {
				t.Errorf("%s in %q: incomplete row %+v", word, name, k)
			}
			if k.block != "" && l[k.block] == nil {
				t.Errorf("%s in %q opens the block %q, which does not exist", word, name, k.block)
			}
			if k.most >= 0 && k.least > k.most {
				t.Errorf("%s in %q: arity %d to %d", word, name, k.least, k.most)
			}
		}
		if c.entries == "" && len(c.keywords) == 0 {
			t.Errorf("context %q has neither keywords nor entries", name)
		}
	}
	for _, options := range entryOptions() {
		for word := range options {
			words[word] = true
		}
	}
	// keepalived's newest source has 361 keywords, some of which are words of
	// its parser that we do not keep in the table.
	if len(words) < 340 {
		t.Errorf("the table has %d different words, want at least 340", len(words))
	}
	t.Logf("%d different words in %d contexts", len(words), len(l))
}

func TestArity(t *testing.T) {
	for args, want := range map[string][2]int{
		"":               {0, 0},
		"NAME":           {1, 1},
		"IP [PORT]":      {1, 2},
		"[BOOL]":         {0, 1},
		"IF ...":         {1, -1},
		"[NAME] [...]":   {0, -1},
		"COMMAND":        {1, -1},
		"[COMMAND] [.]":  {0, -1},
		"REGEX":          {1, -1},
		"A|B SECONDS...": {2, 2},
	} {
		least, most := arity(args)
		if got := [2]int{least, most}; got != want {
			t.Errorf("arity of %q = %v, want %v", args, got, want)
		}
	}
}
