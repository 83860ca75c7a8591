package config

// addServiceContexts adds virtual_server, real_server and the checkers.
func addServiceContexts(l language) {
	l.add("virtual_server", virtualServerKeywords(), timingKeywords(Runs))
	l.add("real_server", realServerKeywords(), timingKeywords(Runs))
	l.add("TCP_CHECK", timingKeywords(Runs), connectKeywords(Runs), []keyword{
		{name: "log_all_failures", args: "[BOOL]", priority: p0, status: Runs},
		{name: "nb_get_retry", args: "COUNT", priority: p3, status: Ignored, note: "write retry; keepalived, too, knows it in HTTP_GET only and tries again once"},
	})
	network := [][]keyword{timingKeywords(NotYet), connectKeywords(NotYet), {
		{name: "log_all_failures", args: "[BOOL]", priority: p0, status: NotYet},
	}}
	l.add("HTTP_GET", append(network, httpKeywords())...)
	l.add("SSL_GET", append(network, httpKeywords(), []keyword{
		{name: "enable_sni", priority: p1, status: NotYet},
		{name: "sni_name", args: "NAME", priority: p1, status: NotYet},
		{name: "tls_compliant", args: "[BOOL]", priority: p1, status: NotYet},
	})...)
	l.add("url", urlKeywords())
	l.add("SMTP_CHECK", append(network, []keyword{
		{name: "helo_name", args: "NAME", priority: p1, status: NotYet},
		{name: "host", priority: p1, status: NotYet, block: "host"},
	})...)
	l.add("host", connectKeywords(NotYet), timingKeywords(NotYet))
	l.add("DNS_CHECK", append(network, []keyword{
		{name: "type", args: "TYPE", priority: p1, status: NotYet},
		{name: "name", args: "NAME", priority: p1, status: NotYet},
	})...)
	l.add("UDP_CHECK", append(network, []keyword{
		{name: "payload", args: "HEX", priority: p1, status: NotYet},
		{name: "require_reply", args: "[HEX]", priority: p1, status: NotYet},
		{name: "min_reply_length", args: "0..65535", priority: p1, status: NotYet},
		{name: "max_reply_length", args: "0..65535", priority: p1, status: NotYet},
	})...)
	l.add("PING_CHECK", network...)
	l.add("MISC_CHECK", timingKeywords(NotYet), []keyword{
		{name: "log_all_failures", args: "[BOOL]", priority: p0, status: NotYet},
		{name: "misc_path", args: "COMMAND", priority: p0, status: NotYet},
		{name: "misc_timeout", args: "SECONDS", priority: p0, status: NotYet},
		{name: "misc_dynamic", priority: p0, status: NotYet},
		{name: "user", args: "USER [GROUP]", priority: p0, status: NotYet},
	})
	l.add("FILE_CHECK", []keyword{
		{name: "track_file", args: "NAME", priority: p2, status: NotYet},
		{name: "weight", args: "NUMBER [reverse|noreverse]", priority: p2, status: NotYet},
	})
	l.add("BFD_CHECK", []keyword{
		{name: "name", args: "NAME", priority: p2, status: NotYet},
		{name: "alpha", args: "[BOOL]", priority: p2, status: NotYet},
	})
	l.add("SSL", []keyword{
		{name: "password", args: "PASSWORD", priority: p2, status: NotYet},
		{name: "ca", args: "PATH", priority: p2, status: NotYet},
		{name: "certificate", args: "PATH", priority: p2, status: NotYet},
		{name: "key", args: "PATH", priority: p2, status: NotYet},
	})
}

// timingKeywords flow from virtual_server to real_server to the checkers.
func timingKeywords(s Status) []keyword {
	return []keyword{
		{name: "delay_loop", args: "SECONDS", priority: p0, status: s},
		{name: "retry", args: "COUNT", priority: p0, status: s},
		{name: "delay_before_retry", args: "SECONDS", priority: p0, status: s},
		{name: "warmup", args: "SECONDS", priority: p1, status: s},
		{name: "connect_timeout", args: "SECONDS", priority: p0, status: s},
		{name: "alpha", args: "[BOOL]", priority: p1, status: s},
	}
}

// connectKeywords say from where to where a checker connects.
func connectKeywords(s Status) []keyword {
	return []keyword{
		{name: "connect_ip", args: "IP", priority: p1, status: s},
		{name: "connect_port", args: "PORT", priority: p1, status: s},
		{name: "bindto", args: "IP", priority: p1, status: s},
		{name: "bind_port", args: "PORT", priority: p1, status: s},
		{name: "bind_if", args: "IF", priority: p1, status: s},
		{name: "connect_timeout", args: "SECONDS", priority: p1, status: s},
		{name: "fwmark", args: "MARK", priority: p1, status: s},
	}
}

func virtualServerKeywords() []keyword {
	return []keyword{
		{name: "datapath", args: "auto|xdp|ipvs", priority: p1, status: Runs, vital: true, own: true},
		{name: "lb_algo", args: "SCHEDULER", priority: p0, status: Runs, vital: true},
		{name: "lvs_sched", args: "SCHEDULER", priority: p0, status: Runs, vital: true},
		{name: "lb_kind", args: "NAT|DR|TUN ...", priority: p0, status: Runs, vital: true},
		{name: "lvs_method", args: "NAT|DR|TUN ...", priority: p0, status: Runs, vital: true},
		{name: "protocol", args: "TCP|UDP|SCTP", priority: p0, status: Runs, vital: true},
		{name: "persistence_timeout", args: "[SECONDS]", priority: p0, status: Runs},
		{name: "persistence_granularity", args: "NETMASK|PREFIX", priority: p1, status: Runs},
		{name: "persistence_engine", args: "NAME", priority: p2, status: NotYet},
		{name: "real_server", args: "IP [PORT]", priority: p0, status: Runs, block: "real_server"},
		{name: "sorry_server", args: "IP [PORT]", priority: p0, status: Runs},
		{name: "sorry_server_inhibit", priority: p2, status: Runs},
		{name: "sorry_server_lvs_method", args: "NAT|DR|TUN ...", priority: p2, status: Runs},
		{name: "quorum", args: "WEIGHT", priority: p1, status: Runs},
		{name: "hysteresis", args: "WEIGHT", priority: p1, status: Runs},
		{name: "quorum_up", args: "COMMAND", priority: p1, status: NotYet},
		{name: "quorum_down", args: "COMMAND", priority: p1, status: NotYet},
		{name: "omega", priority: p1, status: Runs},
		{name: "inhibit_on_failure", args: "[BOOL]", priority: p1, status: Runs},
		{name: "ha_suspend", priority: p1, status: NotYet},
		{name: "virtualhost", args: "NAME", priority: p1, status: NotYet},
		{name: "smtp_alert", args: "[BOOL]", priority: p1, status: NotYet},
		{name: "snmp_name", args: "NAME", priority: p3, status: Ignored},
		{name: "ip_family", args: "inet|inet6", priority: p2, status: NotYet},
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
		{name: "notify_up", args: "COMMAND", priority: p1, status: NotYet},
		{name: "notify_down", args: "COMMAND", priority: p1, status: NotYet},
		{name: "virtualhost", args: "NAME", priority: p1, status: NotYet},
		{name: "smtp_alert", args: "[BOOL]", priority: p1, status: NotYet},
		{name: "snmp_name", args: "NAME", priority: p3, status: Ignored},
		{name: "TCP_CHECK", priority: p0, status: Runs, block: "TCP_CHECK"},
		{name: "HTTP_GET", priority: p0, status: NotYet, block: "HTTP_GET"},
		{name: "SSL_GET", priority: p0, status: NotYet, block: "SSL_GET"},
		{name: "SMTP_CHECK", priority: p1, status: NotYet, block: "SMTP_CHECK"},
		{name: "MISC_CHECK", priority: p0, status: NotYet, block: "MISC_CHECK"},
		{name: "DNS_CHECK", priority: p1, status: NotYet, block: "DNS_CHECK"},
		{name: "UDP_CHECK", priority: p1, status: NotYet, block: "UDP_CHECK"},
		{name: "PING_CHECK", priority: p1, status: NotYet, block: "PING_CHECK"},
		{name: "FILE_CHECK", priority: p2, status: NotYet, block: "FILE_CHECK"},
		{name: "BFD_CHECK", priority: p2, status: NotYet, block: "BFD_CHECK"},
	}
}

func httpKeywords() []keyword {
	return []keyword{
		{name: "url", priority: p0, status: NotYet, block: "url"},
		{name: "virtualhost", args: "NAME", priority: p0, status: NotYet},
		{name: "http_protocol", args: "1.0|1.0C|1.1", priority: p0, status: NotYet},
		{name: "fast_recovery", args: "[BOOL]", priority: p0, status: NotYet},
		{name: "nb_get_retry", args: "COUNT", priority: p0, status: NotYet},
	}
}

func urlKeywords() []keyword {
	return []keyword{
		{name: "path", args: "PATH", priority: p0, status: NotYet},
		{name: "digest", args: "MD5", priority: p1, status: NotYet},
		{name: "status_code", args: "CODE ...", priority: p0, status: NotYet},
		{name: "virtualhost", args: "NAME", priority: p1, status: NotYet},
		{name: "tls_compliant", args: "[BOOL]", priority: p1, status: NotYet},
		{name: "regex", args: "REGEX", priority: p2, status: NotYet},
		{name: "regex_no_match", priority: p2, status: NotYet},
		{name: "regex_options", args: "OPTION ...", priority: p2, status: NotYet},
		{name: "regex_min_offset", args: "BYTES", priority: p2, status: NotYet},
		{name: "regex_max_offset", args: "BYTES", priority: p2, status: NotYet},
		{name: "regex_stack", args: "START MAX", priority: p2, status: NotYet},
	}
}
