/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Loaded into keepalived by LD_PRELOAD, it lets its checkers run on a kernel
 * without IPVS, and keeps them away from the kernel's where there is one: what
 * keepalived asks of IPVS succeeds and does nothing. Some builds ask by socket
 * options, whose numbers are those of linux/ip_vs.h (IP_VS_BASE_CTL), some by
 * generic netlink, which keepalived uses for nothing else. The latter requests are
 * appended to the file named by EVENKEEL_IPVS_LOG, as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <linux/netlink.h>

static int of_ipvs(int level, int option)
{
	return level == IPPROTO_IP && option >= 1152 && option < 1152 + 64;
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	int (*next)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");

	if (!of_ipvs(level, option))
		return next(fd, level, option, value, length);
	memset(value, 0, *length);
	return 0;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	int (*next)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");

	if (of_ipvs(level, option))
		return 0;
	return next(fd, level, option, value, length);
}

/* What keepalived wants to be called at the end of an answer and at an
 * acknowledgement, by libnl's enum nl_cb_type.
 */
#define NL_CB_FINISH 1
#define NL_CB_ACK 4

static struct {
	int (*call)(void *message, void *arg);
	void *arg;
} wanted[NL_CB_ACK + 1];

int nl_socket_modify_cb(void *socket, int type, int kind, int (*call)(void *, void *), void *arg)
{
	(void)socket;
	(void)kind;
	if (type >= 0 && type <= NL_CB_ACK) {
		wanted[type].call = call;
		wanted[type].arg = arg;
	}
	return 0;
}

int genl_ctrl_resolve(void *socket, const char *family)
{
	(void)socket;
	(void)family;
	return 1;
}

int nl_send_auto(void *socket, void *message)
{
	struct nlmsghdr *(*header)(void *) = dlsym(RTLD_DEFAULT, "nlmsg_hdr");
	const char *log = getenv("EVENKEEL_IPVS_LOG");

	(void)socket;
	if (log && header) {
		struct nlmsghdr *h = header(message);
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

		if (fd < 0 || write(fd, h, h->nlmsg_len) != h->nlmsg_len)
			abort();
		close(fd);
	}
	return 1;
}

int nl_recvmsgs_default(void *socket)
{
	static const int types[] = { NL_CB_FINISH, NL_CB_ACK };

	(void)socket;
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (wanted[types[i]].call)
			wanted[types[i]].call(NULL, wanted[types[i]].arg);
	return 0;
}
