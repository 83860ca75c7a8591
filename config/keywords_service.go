package config

// addServiceContexts adds virtual_server, real_server and the checkers.
func addServiceContexts(l language) {
	l.add("virtual_server", virtualServerKeywords(), timingKeywords())
	l.add("real_server", realServerKeywords(), timingKeywords())
	addCheckContexts(l)
}

func virtualServerKeywords() []keyword {
	return []keyword{
		{name: "datapath", args: "auto|xdp|ipvs", priority: p1, status: Runs, vital: true, own: true},
		{name: "new_flow_rate", args: "FLOWS [BURST]", priority: p1, status: Runs, own: true},
		{name: "lb_algo", args: "SCHEDULER", priority: p0, status: Runs, vital: true},
		{name: "lvs_sched", args: "SCHEDULER", priority: p0, status: Runs, vital: true},
		{name: "lb_kind", args: "NAT|DR|TUN ...", priority: p0, status: Runs, vital: true},
		{name: "lvs_method", args: "NAT|DR|TUN ...", priority: p0, status: Runs, vital: true},
		{name: "protocol", args: "TCP|UDP|SCTP", priority: p0, status: Runs, vital: true},
		{name: "persistence_timeout", args: "[SECONDS]", priority: p0, status: Runs},
		{name: "persistence_granularity", args: "NETMASK|PREFIX", priority: p1, status: Runs},
		{name: "persistence_engine", args: "NAME", priority: p2, status: Runs},
		{name: "real_server", args: "IP [PORT]", priority: p0, status: Runs, block: "real_server"},
		{name: "sorry_server", args: "IP [PORT]", priority: p0, status: Runs},
		{name: "sorry_server_inhibit", priority: p2, status: Runs},
		{name: "sorry_server_lvs_method", args: "NAT|DR|TUN ...", priority: p2, status: Runs},
		{name: "quorum", args: "WEIGHT", priority: p1, status: Runs},
		{name: "hysteresis", args: "WEIGHT", priority: p1, status: Runs},
		{name: "quorum_up", args: "COMMAND", priority: p1, status: Runs},
		{name: "quorum_down", args: "COMMAND", priority: p1, status: Runs},
		{name: "omega", priority: p1, status: Runs},
		{name: "inhibit_on_failure", args: "[BOOL]", priority: p1, status: Runs},
		{name: "ha_suspend", priority: p1, status: Runs},
		{name: "virtualhost", args: "NAME", priority: p1, status: Runs},
		{name: "smtp_alert", args: "[BOOL]", priority: p1, status: Runs},
		{name: "snmp_name", args: "NAME", priority: p3, status: Ignored},
		{name: "ip_family", args: "inet|inet6", priority: p2, status: Runs},
		{name: "weight", args: "WEIGHT", priority: p0, status: Runs},
		{name: "ops", priority: p1, status: Runs},
		{name: "hashed", priority: p2, status: Ignored, note: "the kernel sets this flag by itself"},
		{name: "flag-1", priority: p2, status: Runs},
		{name: "flag-2", priority: p2, status: Runs},
		{name: "flag-3", priority: p2, status: Runs},
		{name: "sh-port", priority: p1, status: Runs},
		{name: "sh-fallback", priority: p1, status: Runs},
		{name: "mh-port", priority: p1, status: Runs},
		{name: "mh-fallback", priority: p1, status: Runs},
		{name: "nat_mask", args: "NETMASK", priority: p3, status: Ignored, note: "keepalived dropped it before 1.2.24"},
	}
}

func realServerKeywords() []keyword {
	return []keyword{
		{name: "weight", args: "WEIGHT", priority: p0, status: Runs, vital: true},
		{name: "lvs_method", args: "NAT|DR|TUN ...", priority: p0, status: Runs, vital: true},
		{name: "inhibit_on_failure", args: "[BOOL]", priority: p1, status: Runs},
		{name: "uthreshold", args: "CONNECTIONS", priority: p2, status: Runs},
		{name: "lthreshold", args: "CONNECTIONS", priority: p2, status: Runs},
		{name: "notify_up", args: "COMMAND", priority: p1, status: Runs},
		{name: "notify_down", args: "COMMAND", priority: p1, status: Runs},
		{name: "virtualhost", args: "NAME", priority: p1, status: Runs},
		{name: "smtp_alert", args: "[BOOL]", priority: p1, status: Runs},
		{name: "snmp_name", args: "NAME", priority: p3, status: Ignored},
		{name: "TCP_CHECK", priority: p0, status: Runs, block: "TCP_CHECK"},
		{name: "HTTP_GET", priority: p0, status: Runs, block: "HTTP_GET"},
		{name: "SSL_GET", priority: p0, status: Runs, block: "SSL_GET"},
		{name: "SMTP_CHECK", priority: p1, status: Runs, block: "SMTP_CHECK"},
		{name: "MISC_CHECK", priority: p0, status: Runs, block: "MISC_CHECK"},
		{name: "DNS_CHECK", priority: p1, status: Runs, block: "DNS_CHECK"},
		{name: "UDP_CHECK", priority: p1, status: Runs, block: "UDP_CHECK"},
		{name: "PING_CHECK", priority: p1, status: Runs, block: "PING_CHECK"},
		{name: "FILE_CHECK", priority: p2, status: Runs, block: "FILE_CHECK"},
		{name: "BFD_CHECK", priority: p2, status: NotYet, block: "BFD_CHECK"},
	}
}
