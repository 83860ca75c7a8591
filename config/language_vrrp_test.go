package config

// vrrpFrames are files for samples to stand in, with a % at the place. What
// could move by a line more stands before it.
func vrrpFrames() map[string]string {
	const tracked = "vrrp_script s {\nscript /s\n}\ntrack_file f {\nfile /f\n}\nvrrp_track_process p {\nprocess p\n}\n"
	const six = "vrrp_instance SIX {\ninterface eth0\nvirtual_router_id 2\nvirtual_ipaddress {\nfe80::1\n}\n}\n"
	const mailed = "router_id y\nnotification_email {\na@example.org\n}\nsmtp_server 192.0.2.25\n"
	return map[string]string{
		"global_defs":     instanceWith("") + six + "static_ipaddress {\n192.0.2.77\n}\nglobal_defs {\n" + mailed + "%\n}\n",
		"vrrp_instance":   tracked + instanceWith("%"),
		"authentication":  instanceWith("authentication {\nauth_type PASS\nauth_pass x\n%\n}"),
		"vrrp_sync_group": tracked + instanceWith("") + six + "vrrp_sync_group G {\ngroup {\nA\n}\n%\n}\n",

		"vrrp_script":        "vrrp_script x {\nscript /x\n%\n}\n",
		"track_file":         "track_file x {\nfile /x\n%\n}\n",
		"vrrp_track_process": "vrrp_track_process x {\nprocess x\nquorum 2\n%\n}\n",
		"garp_group":         "garp_group {\ngarp_interval 0.5\ninterface eth0\n%\n}\n",
	}
}

// instanceWith is an instance with further lines.
func instanceWith(lines string) string {
	return "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}\n" + lines + "\n}\n"
}

// vrrpSamples gives each keyword of VRRP a line that must change the outcome.
func vrrpSamples() map[string]map[string]string {
	all := map[string]map[string]string{
		"": {
			"vrrp_instance":      "vrrp_instance B {\ninterface eth0\nvirtual_router_id 9\nvirtual_ipaddress {\n192.0.2.9\n}\n}",
			"vrrp_sync_group":    "vrrp_sync_group G {\ngroup {\nA\n}\n}",
			"vrrp_script":        "vrrp_script t {\nscript /t\n}",
			"track_file":         "track_file t {\nfile /t\n}",
			"vrrp_track_file":    "vrrp_track_file t {\nfile /t\n}",
			"vrrp_track_process": "vrrp_track_process t {\nprocess t\n}",
			"static_ipaddress":   "static_ipaddress {\n192.0.2.9 dev eth0\n}",
			"static_routes":      "static_routes {\n192.0.2.0/24 dev eth0\n}",
			"static_rules":       "static_rules {\nfrom 192.0.2.0/24 table 9 priority 9\n}",
			"garp_group":         "garp_group {\ngarp_interval 0.5\ninterface eth0\n}",
		},
		"global_defs":   globalVRRPSamples(),
		"vrrp_instance": instanceSamples(),
		"authentication": {
			"auth_type": "auth_type AH", "auth_pass": "auth_pass y",
		},
		"vrrp_sync_group": {
			"group": "group {\nSIX\n}", "sync_group_tracking_weight": "sync_group_tracking_weight",
		},
		"vrrp_script": {
			"script": "script /y", "interval": "interval 7", "timeout": "timeout 7", "weight": "weight 7", "rise": "rise 7", "fall": "fall 7",
			"user": "user x", "init_fail": "init_fail",
		},
		"track_file": {"file": "file /y", "weight": "weight 7", "init_file": "init_file 7"},
		"vrrp_track_process": {
			"process": "process y", "param_match": "param_match initial", "weight": "weight 7", "quorum": "quorum 7", "quorum_max": "quorum_max 7",
			"delay": "delay 7", "fork_delay": "fork_delay 7", "terminate_delay": "terminate_delay 7", "full_command": "full_command",
		},
		"garp_group": {
			"garp_interval": "garp_interval 0.7", "gna_interval": "gna_interval 0.7", "interface": "interface eth7", "interfaces": "interfaces {\neth7\n}",
		},
	}
	for keyword, line := range map[string]string{
		"notify_master": "notify_master /x", "notify_backup": "notify_backup /x", "notify_fault": "notify_fault /x",
		"notify_stop": "notify_stop /x", "notify": "notify /x", "notify_priority_changes": "notify_priority_changes", "smtp_alert": "smtp_alert",
		"track_interface": "track_interface {\neth7\n}", "track_script": "track_script {\ns\n}",
		"track_file": "track_file {\nf\n}", "track_process": "track_process {\np\n}",
	} {
		all["vrrp_instance"][keyword] = line
		all["vrrp_sync_group"][keyword] = line
	}
	return all
}

func globalVRRPSamples() map[string]string {
	return map[string]string{
		"notification_email": "notification_email {\nb@example.org\n}", "notification_email_from": "notification_email_from b@example.org",
		"smtp_server": "smtp_server 192.0.2.26 26", "smtp_connect_timeout": "smtp_connect_timeout 7", "smtp_helo_name": "smtp_helo_name x",
		"smtp_alert": "smtp_alert", "smtp_alert_vrrp": "smtp_alert_vrrp", "no_email_faults": "no_email_faults",
		"enable_script_security": "enable_script_security", "script_user": "script_user x y",
		"set_supplementary_groups": "set_supplementary_groups", "use_symlink_paths": "use_symlink_paths",
		"notify_fifo": "notify_fifo /x", "notify_fifo_script": "notify_fifo /x => notify_fifo_script /y",
		"vrrp_notify_fifo": "vrrp_notify_fifo /x", "vrrp_notify_fifo_script": "vrrp_notify_fifo /x => vrrp_notify_fifo_script /y",

		"vrrp_version": "vrrp_version 3", "vrrp_strict": "vrrp_strict", "vrrp_skip_check_adv_addr": "vrrp_skip_check_adv_addr",
		"vrrp_garp_interval": "vrrp_garp_interval 0.5", "vrrp_gna_interval": "vrrp_gna_interval 0.5", "default_interface": "default_interface eth7",
		"vrrp_mcast_group4": "vrrp_mcast_group4 224.0.0.7", "vrrp_mcast_group6": "vrrp_mcast_group6 ff02::7",
		"vrrp_garp_master_delay": "vrrp_garp_master_delay 7", "vrrp_garp_master_repeat": "vrrp_garp_master_repeat 7",
		"vrrp_garp_master_refresh": "vrrp_garp_master_refresh 7", "vrrp_garp_master_refresh_repeat": "vrrp_garp_master_refresh_repeat 7",
		"vrrp_garp_lower_prio_delay": "vrrp_garp_lower_prio_delay 7", "vrrp_garp_lower_prio_repeat": "vrrp_garp_lower_prio_repeat 7",
		"vrrp_garp_extra_if": "vrrp_garp_extra_if 7",
		"vrrp_min_garp":      "vrrp_min_garp", "vrrp_down_timer_adverts": "vrrp_down_timer_adverts 7",
		"vrrp_lower_prio_no_advert": "vrrp_lower_prio_no_advert", "vrrp_higher_prio_send_advert": "vrrp_higher_prio_send_advert no",
		"vrrp_check_unicast_src": "vrrp_check_unicast_src", "vrrp_owner_ignore_adverts": "vrrp_owner_ignore_adverts",
		"v3_checksum_as_v2": "v3_checksum_as_v2", "vrrp_startup_delay": "vrrp_startup_delay 7", "vrrp_delay_after_boot": "vrrp_delay_after_boot 7",
		"log_unknown_vrids": "log_unknown_vrids", "vmac_prefix": "vmac_prefix x", "dynamic_interfaces": "dynamic_interfaces",
		"vrrp_notify_priority_changes": "vrrp_notify_priority_changes",
		"vrrp_priority":                "vrrp_priority -7", "vrrp_rt_priority": "vrrp_rt_priority 7",
		"checker_rt_priority": "checker_rt_priority 7", "checker_no_swap": "checker_no_swap",
		"vrrp_no_swap": "vrrp_no_swap", "vrrp_cpu_affinity": "vrrp_cpu_affinity 1 0",
	}
}

func instanceSamples() map[string]string {
	return map[string]string{
		"state": "priority 255 => state BACKUP", "interface": "interface eth7", "virtual_router_id": "virtual_router_id 7",
		"priority": "priority 7", "advert_int": "advert_int 7", "version": "version 3",
		"virtual_ipaddress":          "virtual_ipaddress {\n192.0.2.7\n}",
		"virtual_ipaddress_excluded": "virtual_ipaddress_excluded {\n192.0.2.7\n}",
		"virtual_routes":             "virtual_routes {\n192.0.2.0/24 dev eth0\n}",
		"virtual_rules":              "virtual_rules {\nfrom 192.0.2.0/24 table 9 priority 9\n}",
		// The only address is of the other family.
		"no_virtual_ipaddress": "native_ipv6 => no_virtual_ipaddress", "native_ipv6": "no_virtual_ipaddress => native_ipv6",
		"authentication": "authentication {\nauth_type PASS\nauth_pass x\n}",
		"unicast_peer":   "unicast_peer {\n192.0.2.7\n}", "unicast_src_ip": "unicast_src_ip 192.0.2.7",
		"mcast_src_ip": "mcast_src_ip 192.0.2.7", "mcast_dst_ip": "mcast_dst_ip 224.0.0.7", "track_src_ip": "track_src_ip",
		"unicast_ttl": "unicast_ttl 7", "check_unicast_src": "check_unicast_src", "unicast_fault_no_peer": "unicast_fault_no_peer",
		"old_unicast_checksum": "old_unicast_checksum never", "v3_checksum_as_v2": "v3_checksum_as_v2",
		"use_vmac_addr": "virtual_ipaddress_excluded {\n192.0.3.1 dev eth1\n} => use_vmac_addr", "garp_extra_if": "garp_extra_if 7",
		"use_vmac": "use_vmac", "vmac_xmit_base": "use_vmac => vmac_xmit_base",
		"dont_track_primary": "dont_track_primary", "accept": "strict_mode\nversion 3 => accept", "no_accept": "no_accept",
		"skip_check_adv_addr": "skip_check_adv_addr", "strict_mode": "strict_mode", "nopreempt": "nopreempt", "preempt_delay": "preempt_delay 7",
		"garp_master_delay": "garp_master_delay 7", "garp_master_repeat": "garp_master_repeat 7", "garp_master_refresh": "garp_master_refresh 7",
		"garp_master_refresh_repeat": "garp_master_refresh_repeat 7", "garp_lower_prio_delay": "garp_lower_prio_delay 7",
		"garp_lower_prio_repeat": "garp_lower_prio_repeat 7", "down_timer_adverts": "down_timer_adverts 7",
		"lower_prio_no_advert": "lower_prio_no_advert", "higher_prio_send_advert": "higher_prio_send_advert no",
		"owner_ignore_adverts": "owner_ignore_adverts", "promote_secondaries": "promote_secondaries",
		"notify_deleted": "notify_deleted", "notify_master_rx_lower_pri": "notify_master_rx_lower_pri /x",
	}
}
