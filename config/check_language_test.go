package config

import "strings"

// checkFrames are the blocks around a checker's line, which stands for %.
func checkFrames() map[string]string {
	server := func(checks string) string {
		return "virtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 198.51.100.1 80 {\n" + checks + "\n}\n}"
	}
	frames := map[string]string{
		"SSL_GET":    server("SSL_GET {\nurl { path / }\n%\n}"),
		"HTTP_GET":   server("HTTP_GET {\nurl { path / }\n%\n}"),
		"url":        server("SSL_GET {\nurl {\npath /\n%\n}\n}"),
		"MISC_CHECK": server("MISC_CHECK {\nmisc_path /bin/true\n%\n}"),
		"FILE_CHECK": server("FILE_CHECK {\ntrack_file one\n%\n}") + "\ntrack_file one {\nfile /one\n}\ntrack_file two {\nfile /two\n}",
		"host":       server("SMTP_CHECK {\nhost {\n%\n}\n}"),
		"SSL":        server("SSL_GET {\nurl { path / }\n}") + "\nSSL {\ncertificate /c\n%\n}",
	}
	for _, name := range []string{"TCP_CHECK", "SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK"} {
		frames[name] = server(name + " {\n%\n}")
	}
	return frames
}

// checkSamples gives each keyword of a checker a line that must change the
// outcome.
func checkSamples(timing map[string]string) map[string]map[string]string {
	connect := map[string]string{
		"connect_ip": "connect_ip 192.0.2.77", "connect_port": "connect_port 7", "bindto": "bindto 192.0.2.78", "bind_port": "bind_port 7",
		"bind_if": "bind_if eth7", "fwmark": "fwmark 7",
	}
	http := map[string]string{
		"url": "url { path /second }", "virtualhost": "virtualhost a.example", "http_protocol": "http_protocol 1.1",
		"fast_recovery": "fast_recovery", "nb_get_retry": "nb_get_retry 7",
	}
	own := map[string]map[string]string{
		"HTTP_GET": http,
		"SSL_GET":  {"enable_sni": "enable_sni", "sni_name": "sni_name a.example", "tls_compliant": "tls_compliant"},
		"url": {
			"path": "path /other", "digest": "digest " + strings.Repeat("0a", 16), "status_code": "status_code 200-204 301", "virtualhost": "virtualhost a.example",
			"tls_compliant": "tls_compliant", "regex": "regex up", "regex_no_match": "regex up\nregex_no_match", "regex_options": "regex up\nregex_options caseless",
			"regex_min_offset": "regex up\nregex_min_offset 7", "regex_max_offset": "regex up\nregex_max_offset 7", "regex_stack": "regex up\nregex_stack 7 9",
		},
		"SMTP_CHECK": {"helo_name": "helo_name a.example", "host": "host { connect_port 25 }"},
		"host":       {},
		"DNS_CHECK":  {"type": "type A", "name": "name a.example"},
		"UDP_CHECK": {
			"payload": "payload 00ff", "require_reply": "require_reply 0X", "min_reply_length": "min_reply_length 7", "max_reply_length": "max_reply_length 7",
		},
		"PING_CHECK": {},
		"MISC_CHECK": {"misc_path": "misc_path /bin/false", "misc_timeout": "misc_timeout 7", "misc_dynamic": "misc_dynamic", "user": "user nobody"},
		"FILE_CHECK": {"track_file": "track_file two", "weight": "weight 7 reverse"},
		"SSL":        {"password": "password x", "ca": "ca /x", "certificate": "certificate /x", "key": "key /x"},
	}
	all := map[string]map[string]string{"TCP_CHECK": {}}
	for name, list := range own {
		all[name] = make(map[string]string)
		for k, line := range list {
			all[name][k] = line
		}
	}
	for name, list := range all {
		if name == "url" || name == "SSL" || name == "FILE_CHECK" {
			continue
		}
		for k, line := range timing {
			list[k] = line
		}
		if name != "host" {
			list["log_all_failures"] = "log_all_failures"
		}
		if name == "MISC_CHECK" {
			continue
		}
		for k, line := range connect {
			list[k] = line
		}
	}
	for k, line := range http {
		all["SSL_GET"][k] = line
	}
	return all
}
