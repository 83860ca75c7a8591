package config

import "strings"

// goesOn lists the words of a block after which keepalived 2.2.7 reads on
// when their argument is missing; it ends at once with any other.
func goesOn(block string) string {
	switch block {
	case "":
		return "bfd_instance instance net_namespace track_group vrrp_instance vrrp_sync_group"
	case "FILE_CHECK":
		return "weight"
	case "HTTP_GET":
		return "http_protocol virtualhost"
	case "MISC_CHECK":
		return "connect_timeout misc_path user"
	case "SMTP_CHECK":
		return "helo_name"
	case "SSL":
		return "ca certificate key password"
	case "SSL_GET":
		return "http_protocol sni_name virtualhost"
	case "TCP_CHECK":
		return "nb_get_retry"
	case "UDP_CHECK":
		return "payload"
	case "global_defs":
		return "bfd_cpu_affinity bfd_priority bfd_rt_priority checker_cpu_affinity checker_priority checker_rt_priority" +
			" dbus_no_interface_name dbus_service_name default_interface iproute_etc_dir iproute_usr_dir json_dump_file" +
			" json_version lvs_id lvs_netlink_cmd_rcv_bufs lvs_netlink_monitor_rcv_bufs lvs_notify_fifo" +
			" lvs_notify_fifo_script lvs_sync_daemon lvs_timeouts min_auto_priority_delay notification_email_from notify_fifo" +
			" notify_fifo_script plugin_dir process_monitor_rcv_bufs reload_time_file router_id script_user shutdown_script" +
			" shutdown_script_timeout snmp_rs_stats_update_interval snmp_socket snmp_vs_stats_update_interval startup_script" +
			" startup_script_timeout state_dump_file stats_dump_file tmp_config_directory vrrp_cpu_affinity" +
			" vrrp_delay_after_boot vrrp_netlink_cmd_rcv_bufs vrrp_netlink_monitor_rcv_bufs vrrp_notify_fifo" +
			" vrrp_notify_fifo_script vrrp_priority vrrp_rt_priority vrrp_rx_bufs_multiplier vrrp_rx_bufs_policy"
	case "real_server":
		return "snmp_name virtualhost"
	case "track_file":
		return "file weight"
	case "url":
		return "regex regex_max_offset regex_min_offset regex_options regex_stack status_code virtualhost"
	case "virtual_server":
		return "nat_mask snmp_name sorry_server_lvs_method virtualhost"
	case "vrrp_instance":
		return "kernel_rx_buf_size"
	case "vrrp_track_process":
		return "weight"
	}
	return ""
}

// saysNothing lists the words of a block that it does not even complain of.
func saysNothing(block string) string {
	switch block {
	case "global_defs":
		return "smtp_helo_name"
	case "vrrp_script":
		return "script"
	case "vrrp_track_process":
		return "param_match"
	}
	return ""
}

// withoutArgument is how much it weighs that a word lacks its argument.
func withoutArgument(block, name string, sev Severity) grade {
	has := func(list string) bool {
		for word := range strings.FieldsSeq(list) {
			if word == name {
				return true
			}
		}
		return false
	}
	switch {
	case has(saysNothing(block)):
		return silent(sev)
	case has(goesOn(block)):
		return complains(sev)
	}
	return ends(sev)
}
