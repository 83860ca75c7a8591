package config

// addVRRPContexts adds the blocks of VRRP and its trackers.
func addVRRPContexts(l language) {
	l.add("vrrp_instance", vrrpInstanceKeywords(), vrrpNotifyKeywords(), trackKeywords())
	l.add("vrrp_sync_group", []keyword{
		{name: "group", priority: p0, status: Runs, block: "group"},
		{name: "sync_group_tracking_weight", priority: p2, status: Runs},
		{name: "global_tracking", priority: p3, status: Ignored, note: "keepalived accepts it without effect"},
	}, vrrpNotifyKeywords(), trackKeywords())
	l.add("authentication", []keyword{
		{name: "auth_type", args: "PASS|AH", priority: p0, status: Runs, vital: true},
		{name: "auth_pass", args: "PASSWORD", priority: p0, status: Runs, vital: true},
	})
	l.add("auth_hmac", []keyword{
		{name: "key", args: "ID VALUE", priority: p2, status: NotYet},
		{name: "active_key", args: "ID", priority: p2, status: NotYet},
		{name: "time_window", args: "1..300", priority: p2, status: NotYet},
		{name: "anti_replay", args: "time|monotonic", priority: p2, status: NotYet},
		{name: "mode", args: "enforce|permissive|receive-only", priority: p2, status: NotYet},
	})
	l.add("vrrp_script", []keyword{
		{name: "script", args: "COMMAND", priority: p0, status: Runs},
		{name: "interval", args: "SECONDS", priority: p0, status: Runs},
		{name: "timeout", args: "SECONDS", priority: p0, status: Runs},
		{name: "weight", args: "-253..253 [reverse]", priority: p0, status: Runs},
		{name: "rise", args: "COUNT", priority: p0, status: Runs},
		{name: "fall", args: "COUNT", priority: p0, status: Runs},
		{name: "user", args: "USER [GROUP]", priority: p0, status: Runs},
		{name: "init_fail", priority: p1, status: Runs},
	})
	l.add("track_file", []keyword{
		{name: "file", args: "PATH", priority: p1, status: Runs},
		{name: "weight", args: "-254..254 [reverse]", priority: p1, status: Runs},
		{name: "init_file", args: "[VALUE] [overwrite]", priority: p1, status: Runs},
	})
	l.add("vrrp_track_process", trackProcessKeywords())
	l.add("bfd_instance", bfdKeywords())
	l.add("track_group", []keyword{{name: "group", priority: p2, status: NotYet, block: "group"}})
	l.add("garp_group", []keyword{
		{name: "garp_interval", args: "SECONDS", priority: p2, status: Runs},
		{name: "gna_interval", args: "SECONDS", priority: p2, status: Runs},
		{name: "interface", args: "IF", priority: p2, status: Runs, many: true},
		{name: "interfaces", priority: p2, status: Runs, block: "interfaces"},
	})
}

func vrrpInstanceKeywords() []keyword {
	return []keyword{
		{name: "state", args: "MASTER|BACKUP", priority: p0, status: Runs},
		{name: "interface", args: "IF", priority: p0, status: Runs, vital: true},
		{name: "virtual_router_id", args: "1..255", priority: p0, status: Runs, vital: true},
		{name: "priority", args: "1..255", priority: p0, status: Runs, vital: true},
		{name: "advert_int", args: "SECONDS", priority: p0, status: Runs, vital: true},
		{name: "version", args: "2|3", priority: p1, status: Runs, vital: true},
		{name: "virtual_ipaddress", priority: p0, status: Runs, vital: true, block: "virtual_ipaddress"},
		{name: "virtual_ipaddress_excluded", priority: p1, status: Runs, block: "virtual_ipaddress"},
		{name: "no_virtual_ipaddress", priority: p2, status: Runs},
		{name: "virtual_routes", priority: p1, status: Runs, block: "virtual_routes"},
		{name: "virtual_rules", priority: p1, status: Runs, block: "virtual_rules"},
		{name: "authentication", priority: p0, status: Runs, vital: true, block: "authentication"},
		{name: "auth_hmac", priority: p2, status: NotYet, vital: true, block: "auth_hmac"},
		{name: "unicast_peer", priority: p0, status: Runs, vital: true, block: "unicast_peer"},
		{name: "unicast_src_ip", args: "IP", priority: p0, status: Runs, vital: true},
		{name: "mcast_src_ip", args: "IP", priority: p1, status: Runs, vital: true},
		{name: "mcast_dst_ip", args: "IP", priority: p2, status: Runs, vital: true},
		{name: "track_src_ip", priority: p1, status: Runs},
		{name: "unicast_ttl", args: "0..255", priority: p2, status: Runs},
		{name: "check_unicast_src", args: "[BOOL]", priority: p1, status: Runs},
		{name: "unicast_fault_no_peer", priority: p2, status: Runs},
		{name: "old_unicast_checksum", args: "[never]", priority: p2, status: Runs},
		{name: "v3_checksum_as_v2", args: "[BOOL]", priority: p1, status: Runs},
		{name: "native_ipv6", priority: p2, status: Runs},
		{name: "vrf", args: "NAME", priority: p2, status: NotYet},
		{name: "use_vmac", args: "[IF] [MAC] [...]", priority: p1, status: Runs},
		{name: "use_vmac_addr", priority: p2, status: Runs},
		{name: "vmac_xmit_base", priority: p1, status: Runs},
		{name: "use_ipvlan", args: "[IP] [IF] [...]", priority: p3, status: Ignored},
		{name: "dont_track_primary", priority: p1, status: Runs},
		{name: "linkbeat_use_polling", priority: p3, status: Ignored, note: "the kernel reports link changes by itself"},
		{name: "accept", priority: p1, status: Runs},
		{name: "no_accept", priority: p1, status: Runs},
		{name: "skip_check_adv_addr", args: "[BOOL]", priority: p2, status: Runs},
		{name: "strict_mode", args: "[BOOL]", priority: p1, status: Runs},
		{name: "nopreempt", priority: p0, status: Runs},
		{name: "preempt", priority: p3, status: Ignored, note: "it is the default"},
		{name: "preempt_delay", args: "SECONDS", priority: p0, status: Runs},
		{name: "notify_deleted", args: "[COMMAND] [...]", priority: p2, status: Runs, first: true},
		{name: "notify_master_rx_lower_pri", args: "COMMAND", priority: p2, status: Runs, first: true},
		{name: "garp_master_delay", args: "SECONDS", priority: p1, status: Runs},
		{name: "garp_master_repeat", args: "COUNT", priority: p1, status: Runs},
		{name: "garp_master_refresh", args: "SECONDS", priority: p1, status: Runs},
		{name: "garp_master_refresh_repeat", args: "COUNT", priority: p1, status: Runs},
		{name: "garp_lower_prio_delay", args: "SECONDS", priority: p2, status: Runs},
		{name: "garp_lower_prio_repeat", args: "COUNT", priority: p2, status: Runs},
		{name: "garp_extra_if", args: "[all] 0..86400", priority: p2, status: Runs},
		{name: "vmac_garp_intvl", args: "[all] [1..86400]", priority: p3, status: Ignored, note: "write garp_extra_if"},
		{name: "down_timer_adverts", args: "1..100", priority: p2, status: Runs},
		{name: "timer_expired_backup", args: "[1..254]", priority: p2, status: NotYet},
		{name: "thread_timer_expired", args: "[1..254]", priority: p3, status: Ignored, note: "write timer_expired_backup"},
		{name: "lower_prio_no_advert", args: "[BOOL]", priority: p2, status: Runs},
		{name: "higher_prio_send_advert", args: "[BOOL]", priority: p2, status: Runs},
		{name: "owner_ignore_adverts", args: "[BOOL]", priority: p2, status: Runs},
		{name: "kernel_rx_buf_size", args: "BYTES", priority: p2, status: NotYet},
		{name: "promote_secondaries", priority: p1, status: Runs},
		{name: "lvs_sync_daemon_interface", args: "IF", priority: p2, status: NotYet, note: "write lvs_sync_daemon in global_defs"},
		{name: "debug", args: "[0..4]", priority: p2, status: Ignored, note: "it has no effect"},
	}
}

// vrrpNotifyKeywords are the words shared by instances and sync groups.
func vrrpNotifyKeywords() []keyword {
	return []keyword{
		{name: "notify_master", args: "COMMAND", priority: p0, status: Runs, first: true},
		{name: "notify_backup", args: "COMMAND", priority: p0, status: Runs, first: true},
		{name: "notify_fault", args: "COMMAND", priority: p0, status: Runs, first: true},
		{name: "notify_stop", args: "COMMAND", priority: p0, status: Runs, first: true},
		{name: "notify", args: "COMMAND", priority: p0, status: Runs, first: true},
		{name: "notify_priority_changes", args: "[BOOL]", priority: p2, status: Runs},
		{name: "smtp_alert", args: "[BOOL]", priority: p1, status: Runs},
	}
}

func trackKeywords() []keyword {
	return []keyword{
		{name: "track_interface", priority: p0, status: Runs, block: "track_*"},
		{name: "track_script", priority: p0, status: Runs, block: "track_*"},
		{name: "track_file", priority: p1, status: Runs, block: "track_*"},
		{name: "track_process", priority: p1, status: Runs, block: "track_*"},
		{name: "track_bfd", priority: p1, status: NotYet, block: "track_*"},
	}
}

func trackProcessKeywords() []keyword {
	return []keyword{
		{name: "process", args: "COMMAND", priority: p1, status: Runs},
		{name: "param_match", args: "initial|partial", priority: p2, status: Runs},
		{name: "weight", args: "-254..254 [reverse]", priority: p1, status: Runs},
		{name: "quorum", args: "1..65535", priority: p1, status: Runs},
		{name: "quorum_max", args: "0..65535", priority: p2, status: Runs},
		{name: "delay", args: "SECONDS", priority: p2, status: Runs},
		{name: "fork_delay", args: "SECONDS", priority: p2, status: Runs},
		{name: "terminate_delay", args: "SECONDS", priority: p2, status: Runs},
		{name: "full_command", priority: p2, status: Runs},
	}
}

func bfdKeywords() []keyword {
	return []keyword{
		{name: "neighbor_ip", args: "IP", priority: p1, status: NotYet},
		{name: "neighbour_ip", args: "IP", priority: p1, status: NotYet},
		{name: "source_ip", args: "IP", priority: p1, status: NotYet},
		{name: "min_rx", args: "MILLISECONDS", priority: p1, status: NotYet},
		{name: "min_tx", args: "MILLISECONDS", priority: p1, status: NotYet},
		{name: "idle_tx", args: "MILLISECONDS", priority: p2, status: NotYet},
		{name: "multiplier", args: "1..255", priority: p1, status: NotYet},
		{name: "passive", priority: p2, status: NotYet},
		{name: "ttl", args: "1..255", priority: p2, status: NotYet},
		{name: "hoplimit", args: "1..255", priority: p2, status: NotYet},
		{name: "max_hops", args: "-1..255", priority: p2, status: NotYet},
		{name: "multihop", args: "[BOOL]", priority: p2, status: NotYet},
		{name: "weight", args: "-253..253 [reverse]", priority: p1, status: NotYet},
		{name: "vrrp", priority: p2, status: NotYet},
		{name: "checker", priority: p2, status: NotYet},
	}
}
