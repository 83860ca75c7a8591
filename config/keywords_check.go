package config

// addCheckContexts adds the checkers and the blocks in them.
func addCheckContexts(l language) {
	network := [][]keyword{timingKeywords(), connectKeywords(), logKeywords()}
	with := func(rows ...keyword) [][]keyword { return append(network[:len(network):len(network)], rows) }
	l.add("TCP_CHECK", with(keyword{
		name: "nb_get_retry", args: "COUNT", priority: p3, status: Ignored,
		note: "write retry; keepalived, too, knows it in HTTP_GET only and tries again once",
	})...)
	l.add("HTTP_GET", with(httpKeywords()...)...)
	l.add("SSL_GET", append(with(httpKeywords()...), []keyword{
		{name: "enable_sni", priority: p1, status: Runs},
		{name: "sni_name", args: "NAME", priority: p1, status: Runs},
		{name: "tls_compliant", args: "[BOOL]", priority: p1, status: Runs},
	})...)
	l.add("url", urlKeywords())
	l.add("SMTP_CHECK", with(
		keyword{name: "helo_name", args: "NAME", priority: p1, status: Runs},
		keyword{name: "host", priority: p1, status: Runs, block: "host"},
	)...)
	l.add("host", connectKeywords(), timingKeywords())
	l.add("DNS_CHECK", with(
		keyword{name: "type", args: "TYPE", priority: p1, status: Runs},
		keyword{name: "name", args: "NAME", priority: p1, status: Runs},
	)...)
	l.add("UDP_CHECK", with(
		keyword{name: "payload", args: "HEX", priority: p1, status: Runs},
		keyword{name: "require_reply", args: "[HEX]", priority: p1, status: Runs},
		keyword{name: "min_reply_length", args: "0..65535", priority: p1, status: Runs},
		keyword{name: "max_reply_length", args: "0..65535", priority: p1, status: Runs},
	)...)
	l.add("PING_CHECK", network...)
	l.add("MISC_CHECK", timingKeywords(), logKeywords(), []keyword{
		{name: "misc_path", args: "COMMAND", priority: p0, status: Runs},
		{name: "misc_timeout", args: "SECONDS", priority: p0, status: Runs},
		{name: "misc_dynamic", priority: p0, status: Runs},
		{name: "user", args: "USER [GROUP]", priority: p0, status: Runs},
	})
	l.add("FILE_CHECK", []keyword{
		{name: "track_file", args: "NAME", priority: p2, status: Runs},
		{name: "weight", args: "NUMBER [reverse|noreverse]", priority: p2, status: Runs},
	})
	l.add("BFD_CHECK", []keyword{
		{name: "name", args: "NAME", priority: p2, status: NotYet},
		{name: "alpha", args: "[BOOL]", priority: p2, status: NotYet},
	})
	l.add("SSL", []keyword{
		{name: "password", args: "PASSWORD", priority: p2, status: Runs},
		{name: "ca", args: "PATH", priority: p2, status: Runs},
		{name: "certificate", args: "PATH", priority: p2, status: Runs},
		{name: "key", args: "PATH", priority: p2, status: Runs},
	})
}

// timingKeywords flow from virtual_server to real_server to the checkers.
func timingKeywords() []keyword {
	return []keyword{
		{name: "delay_loop", args: "SECONDS", priority: p0, status: Runs},
		{name: "retry", args: "COUNT", priority: p0, status: Runs},
		{name: "delay_before_retry", args: "SECONDS", priority: p0, status: Runs},
		{name: "warmup", args: "SECONDS", priority: p1, status: Runs},
		{name: "connect_timeout", args: "SECONDS", priority: p0, status: Runs},
		{name: "alpha", args: "[BOOL]", priority: p1, status: Runs},
	}
}

// connectKeywords say from where to where a checker connects.
func connectKeywords() []keyword {
	return []keyword{
		{name: "connect_ip", args: "IP", priority: p1, status: Runs},
		{name: "connect_port", args: "PORT", priority: p1, status: Runs},
		{name: "bindto", args: "IP", priority: p1, status: Runs},
		{name: "bind_port", args: "PORT", priority: p1, status: Runs},
		{name: "bind_if", args: "IF", priority: p1, status: Runs},
		{name: "connect_timeout", args: "SECONDS", priority: p1, status: Runs},
		{name: "fwmark", args: "MARK", priority: p1, status: Runs},
	}
}

func logKeywords() []keyword {
	return []keyword{{name: "log_all_failures", args: "[BOOL]", priority: p0, status: Runs}}
}

func httpKeywords() []keyword {
	return []keyword{
		{name: "url", priority: p0, status: Runs, block: "url"},
		{name: "virtualhost", args: "NAME", priority: p0, status: Runs},
		{name: "http_protocol", args: "1.0|1.0C|1.1", priority: p0, status: Runs},
		{name: "fast_recovery", args: "[BOOL]", priority: p0, status: Runs},
		{name: "nb_get_retry", args: "COUNT", priority: p0, status: Runs},
	}
}

func urlKeywords() []keyword {
	return []keyword{
		{name: "path", args: "PATH", priority: p0, status: Runs},
		{name: "digest", args: "MD5", priority: p1, status: Runs},
		{name: "status_code", args: "CODE ...", priority: p0, status: Runs},
		{name: "virtualhost", args: "NAME", priority: p1, status: Runs},
		{name: "tls_compliant", args: "[BOOL]", priority: p1, status: Runs},
		{name: "regex", args: "REGEX", priority: p2, status: Runs},
		{name: "regex_no_match", priority: p2, status: Runs},
		{name: "regex_options", args: "OPTION ...", priority: p2, status: Runs},
		{name: "regex_min_offset", args: "BYTES", priority: p2, status: Runs},
		{name: "regex_max_offset", args: "BYTES", priority: p2, status: Runs},
		{name: "regex_stack", args: "START MAX", priority: p2, status: Runs},
	}
}
